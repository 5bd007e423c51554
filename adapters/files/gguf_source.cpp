#include "adapters/files/gguf_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <new>
#include <utility>

#include "adapters/files/file_error.h"
#include "nibble/quantization.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

using NamePair = std::pair<std::string_view, std::string_view>;
constexpr std::array<NamePair, 3> kOuterNames{
    {{"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}}};
constexpr std::array<NamePair, 11> kLayerNames{{{"attn_norm", "input_layernorm"},
                                                {"ffn_norm", "post_attention_layernorm"},
                                                {"attn_q", "self_attn.q_proj"},
                                                {"attn_k", "self_attn.k_proj"},
                                                {"attn_v", "self_attn.v_proj"},
                                                {"attn_output", "self_attn.o_proj"},
                                                {"attn_q_norm", "self_attn.q_norm"},
                                                {"attn_k_norm", "self_attn.k_norm"},
                                                {"ffn_gate", "mlp.gate_proj"},
                                                {"ffn_up", "mlp.up_proj"},
                                                {"ffn_down", "mlp.down_proj"}}};

template <std::size_t N>
std::string_view look_up(const std::array<NamePair, N>& table, std::string_view name) {
  const auto found = std::ranges::find(table, name, &NamePair::first);
  return found == table.end() ? std::string_view() : found->second;
}

/// Memory aligned for vector loads that tensors can borrow.
std::shared_ptr<std::byte> aligned_buffer(std::uint64_t bytes) {
  constexpr std::align_val_t kAlignment{64};
  return {static_cast<std::byte*>(::operator new(bytes, kAlignment)),
          [](std::byte* p) { ::operator delete(p, kAlignment); }};
}

/// llama.cpp pairs neighbours in its rotary embedding, and so stores row 2j + s of a head where Hugging Face has row
/// s·D/2 + j. A row's own bytes stay as they are, so that this is exact for every packing.
std::shared_ptr<std::byte> rows_as_hugging_face_has_them(const std::byte* rows, std::uint64_t row_bytes,
                                                         std::int64_t heads, std::int64_t head_dim) {
  auto buffer = aligned_buffer(static_cast<std::uint64_t>(heads * head_dim) * row_bytes);
  std::byte* out = buffer.get();
  for (std::int64_t head = 0; head < heads; ++head) {
    for (std::int64_t half = 0; half < 2; ++half) {
      for (std::int64_t j = 0; j < head_dim / 2; ++j) {
        const std::int64_t row = head * head_dim + 2 * j + half;
        std::memcpy(out, rows + static_cast<std::uint64_t>(row) * row_bytes, row_bytes);
        out += row_bytes;
      }
    }
  }
  return buffer;
}

class GgufSource : public WeightSource {
 public:
  explicit GgufSource(std::shared_ptr<const GgufFile> file) : file_(std::move(file)) {
    files_.push_back(file_->path());
    const bool is_llama = gguf_architecture(*file_) == "llama";
    if (is_llama) read_heads();
    for (const GgufTensor& tensor : file_->tensors()) add(tensor, is_llama);
    std::ranges::sort(recipes_, {}, &Recipe::name);
    for (const Recipe& recipe : recipes_) tensors_.push_back(describe(recipe));
  }

  Tensor get(std::size_t i) const override {
    const Recipe& recipe = recipes_[i];
    const GgufTensor& tensor = *recipe.tensor;
    if (recipe.heads == 0 || !tensor.type->is_supported()) return file_->tensor(tensor);
    const std::uint64_t rows = static_cast<std::uint64_t>(tensor.shape[0]);
    const auto stored = file_->file()->bytes().subspan(tensor.begin, tensor.bytes);
    const auto buffer = rows_as_hugging_face_has_them(stored.data(), tensor.bytes / rows, recipe.heads,
                                                      tensor.shape[0] / recipe.heads);
    forget(stored);
    return file_->tensor_over(tensor, buffer, buffer.get());
  }

  using WeightSource::forget;
  void forget(std::span<const std::byte> bytes) const override { file_->file()->forget(bytes); }
  std::size_t file_of(std::size_t) const override { return 0; }

 private:
  struct Recipe {
    std::string name;
    const GgufTensor* tensor = nullptr;
    std::int64_t heads = 0;  // whose rows must be put in order; 0: none
  };

  static TensorInfo describe(const Recipe& recipe) {
    const GgmlType& type = *recipe.tensor->type;
    std::string format(type.dtype ? nibble::name(*type.dtype) : type.format);
    if (format.empty()) {
      std::ranges::transform(type.name, std::back_inserter(format),
                             [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    }
    return {.name = recipe.name,
            .shape = recipe.tensor->shape,
            .dtype = type.dtype.value_or(DType::f32),
            .format = format,
            .bytes = recipe.tensor->bytes,
            .packed = !type.dtype};
  }

  void read_heads() {
    heads_ = file_->integer("llama.attention.head_count").value_or(0);
    const auto kv = file_->integers("llama.attention.head_count_kv");
    kv_heads_ = kv && !kv->empty() ? kv->front() : heads_;
  }

  void add(const GgufTensor& tensor, bool is_llama) {
    std::string name = hugging_face_name(tensor.name);
    if (name.empty()) name = std::string(tensor.name);
    const bool is_q = name.find(".self_attn.q_proj.") != std::string::npos;
    const bool is_k = name.find(".self_attn.k_proj.") != std::string::npos;
    const std::int64_t heads = !is_llama ? 0 : is_q ? heads_ : is_k ? kv_heads_ : 0;
    if (is_llama && (is_q || is_k)) {
      // The file's count of heads may be any number: compared first, so that doubling it cannot overflow.
      if (tensor.shape.rank() < 1 || heads <= 0 || heads > tensor.shape[0] || tensor.shape[0] % (2 * heads) != 0) {
        bad_file(file_->path(), tensor.name,
                 fmt::format("{}: rows are not {} heads of an even size", to_string(tensor.shape), heads));
      }
      if (tensor.shape.rank() == 1 && !tensor.type->dtype) bad_file(file_->path(), tensor.name, "a packed bias");
    }
    recipes_.push_back({std::move(name), &tensor, heads});
  }

  std::shared_ptr<const GgufFile> file_;
  std::vector<Recipe> recipes_;
  std::int64_t heads_ = 0, kv_heads_ = 0;
};

}  // namespace

std::unique_ptr<WeightSource> open_gguf_weights(std::shared_ptr<const GgufFile> file) {
  return std::make_unique<GgufSource>(std::move(file));
}

std::string hugging_face_name(std::string_view name) {
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view stem = name.substr(0, dot), suffix = name.substr(dot);
  if (const auto outer = look_up(kOuterNames, stem); !outer.empty()) return fmt::format("{}{}", outer, suffix);
  constexpr std::string_view kLayer = "blk.";
  if (!stem.starts_with(kLayer)) return {};
  const auto end = stem.find('.', kLayer.size());
  if (end == std::string_view::npos) return {};
  const std::string_view number = stem.substr(kLayer.size(), end - kLayer.size());
  const auto inner = look_up(kLayerNames, stem.substr(end + 1));
  const bool is_number =
      !number.empty() && std::ranges::all_of(number, [](unsigned char c) { return std::isdigit(c) != 0; });
  if (inner.empty() || !is_number) return {};
  return fmt::format("model.layers.{}.{}{}", number, inner, suffix);
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
