#include "adapters/files/gguf_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <new>
#include <utility>

#include "adapters/files/architectures.h"
#include "adapters/files/file_error.h"
#include "adapters/files/gguf_names.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

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
    for (const auto& part : file_->files()) files_.push_back(part->path());
    const std::string name = gguf_architecture(*file_);
    const ArchitectureRow* row = find_gguf_architecture(name);
    const bool pairs_neighbours = row && row->pairs_neighbours;
    if (pairs_neighbours) read_heads(name);
    for (const GgufTensor& tensor : file_->tensors()) add(tensor, pairs_neighbours);
    std::ranges::sort(recipes_, {}, &Recipe::name);
    for (const Recipe& recipe : recipes_) tensors_.push_back(describe(recipe));
  }

  Tensor get(std::size_t i) const override {
    const Recipe& recipe = recipes_[i];
    const GgufTensor& tensor = *recipe.tensor;
    if (!(recipe.shape == tensor.shape)) return reshape(file_->tensor(tensor), recipe.shape);
    if (recipe.heads == 0 || !tensor.type->is_supported()) return file_->tensor(tensor);
    const std::uint64_t rows = static_cast<std::uint64_t>(tensor.shape[0]);
    const auto stored = file_->files()[tensor.file]->bytes().subspan(tensor.begin, tensor.bytes);
    const auto buffer =
        rows_as_hugging_face_has_them(stored.data(), tensor.bytes / rows, recipe.heads, tensor.shape[0] / recipe.heads);
    forget(stored);
    return file_->tensor_over(tensor, buffer, buffer.get());
  }

  using WeightSource::forget;
  void forget(std::span<const std::byte> bytes) const override {
    for (const auto& part : file_->files()) part->forget(bytes);
  }
  std::size_t file_of(std::size_t i) const override { return recipes_[i].tensor->file; }
  std::uint64_t place_of(std::size_t i) const override { return recipes_[i].tensor->begin; }

 private:
  struct Recipe {
    std::string name;
    const GgufTensor* tensor = nullptr;
    Shape shape;
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
            .shape = recipe.shape,
            .dtype = type.dtype.value_or(DType::f32),
            .format = format,
            .bytes = recipe.tensor->bytes,
            .packed = !type.dtype};
  }

  void read_heads(const std::string& name) {
    heads_ = file_->integer(name + ".attention.head_count").value_or(0);
    const auto kv = file_->integers(name + ".attention.head_count_kv");
    kv_heads_ = kv && !kv->empty() ? kv->front() : heads_;
  }

  void add(const GgufTensor& tensor, bool pairs_neighbours) {
    std::string name = hugging_face_name(tensor.name);
    if (name.empty()) name = std::string(tensor.name);
    const bool is_q = name.find(".self_attn.q_proj.") != std::string::npos;
    const bool is_k = name.find(".self_attn.k_proj.") != std::string::npos;
    const std::int64_t heads = !pairs_neighbours ? 0 : is_q ? heads_ : is_k ? kv_heads_ : 0;
    if (pairs_neighbours && (is_q || is_k)) {
      // The file's count of heads may be any number: compared first, so that doubling it cannot overflow.
      if (tensor.shape.rank() < 1 || heads <= 0 || heads > tensor.shape[0] || tensor.shape[0] % (2 * heads) != 0) {
        bad_file(file_->path_of(tensor), tensor.name,
                 fmt::format("{}: rows are not {} heads of an even size", to_string(tensor.shape), heads));
      }
      if (tensor.shape.rank() == 1 && !tensor.type->dtype)
        bad_file(file_->path_of(tensor), tensor.name, "a packed bias");
    }
    // A matrix of one row, which some converters write as a vector.
    const bool is_row = name.ends_with(".shared_expert_gate.weight") && tensor.shape.rank() == 1 && tensor.type->dtype;
    recipes_.push_back({std::move(name), &tensor, is_row ? Shape{1, tensor.shape[0]} : tensor.shape, heads});
  }

  std::shared_ptr<const GgufFile> file_;
  std::vector<Recipe> recipes_;
  std::int64_t heads_ = 0, kv_heads_ = 0;
};

}  // namespace

std::unique_ptr<WeightSource> open_gguf_weights(std::shared_ptr<const GgufFile> file) {
  return std::make_unique<GgufSource>(std::move(file));
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
