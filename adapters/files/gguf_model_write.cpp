#include "adapters/files/gguf_model_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "adapters/files/architectures.h"
#include "adapters/files/checkpoint_access.h"
#include "adapters/files/file_error.h"
#include "adapters/files/gguf_metadata.h"
#include "adapters/files/gguf_names.h"
#include "adapters/files/packed_pieces.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

namespace fs = std::filesystem;

constexpr Container kGgufContainer{"GGUF", [](const FormatInfo& format) { return format.ggml_type.has_value(); }};
constexpr std::string_view kRopeFactors = "rope_freqs.weight";

class GgufModelWriter {
 public:
  GgufModelWriter(const Checkpoint& checkpoint, const fs::path& out, const GgufOptions& options)
      : checkpoint_(checkpoint),
        source_(CheckpointAccess::source(checkpoint)),
        config_(checkpoint.config()),
        row_(architecture_row(config_.architecture)),
        options_(options),
        out_(out) {
    say_in(kGgufContainer, out, &options_);
  }

  WrittenGguf write() {
    refuse_unknown_packers(checkpoint_);
    if (options_.plan) options_.plan->require_globs_to_match(source_.tensors());
    for (const std::size_t i : in_order()) decide(i);
    // Without it a reader would take the embedding.
    if (!config_.tie_word_embeddings && !checkpoint_.contains("lm_head.weight"))
      bad_file(checkpoint_.path(), "lm_head.weight", "is missing");
    const std::vector<float> factors = gguf_rope_factors(config_);
    const auto count = static_cast<std::int64_t>(factors.size());
    if (!factors.empty()) declarations_.push_back({std::string(kRopeFactors), ggml_type_of(DType::f32), {count}});

    GgufPairs metadata;
    write_gguf_config(config_, &metadata);
    std::vector<std::string> losses = write_gguf_tokenizer(checkpoint_, config_.vocab_size, &metadata);
    GgufParts writer(out_, metadata, declarations_, options_.limits, options_.force);
    for (const Entry& entry : entries_) {
      report(entry.index, source_.tensors()[entry.index].name);
      write_tensor(entry, &writer);
    }
    if (!factors.empty()) writer.append(kRopeFactors, from_data(std::span(factors), {count}));
    report(source_.tensors().size(), "");
    writer.finish();
    return {writer.paths(), std::move(losses)};
  }

 private:
  /// As the files have them.
  std::vector<std::size_t> in_order() const {
    std::vector<std::size_t> order(source_.tensors().size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {}, [&](std::size_t i) { return std::pair(source_.file_of(i), source_.place_of(i)); });
    return order;
  }

  struct Entry {
    std::size_t index;  // among the source's tensors
    std::string name;
    Storage storage;
    std::int64_t heads;  // whose rows go into another order; 0: none
  };

  /// Not part of the model, or made anew.
  bool is_left_out(std::string_view name) const {
    const bool is_tied_head = config_.tie_word_embeddings && name == "lm_head.weight";
    return is_tied_head || name == kRopeFactors || name.ends_with("rotary_emb.inv_freq");
  }

  std::int64_t heads_of(std::string_view name) const {
    if (!row_.pairs_neighbours) return 0;
    if (name.find(".self_attn.q_proj.") != name.npos) return config_.num_attention_heads;
    return name.find(".self_attn.k_proj.") != name.npos ? config_.num_key_value_heads : 0;
  }

  /// As llama.cpp wants norms, biases and routers.
  static bool is_small(const TensorInfo& tensor) {
    return tensor.shape.rank() < 2 || tensor.name.ends_with(".mlp.gate.weight") ||
           tensor.name.ends_with(".shared_expert_gate.weight");
  }

  Storage storage_of(const TensorInfo& tensor) const {
    const FormatInfo* planned = options_.plan ? options_.plan->becomes(tensor) : nullptr;
    if (planned) return {Storage::Way::packed, planned, DType::f32};
    Storage storage = lossless_storage(checkpoint_, tensor, kGgufContainer, options_);
    if (storage.way == Storage::Way::packed || (!storage.format && is_small(tensor))) storage.dtype = DType::f32;
    return storage;
  }

  void decide(std::size_t i) {
    const TensorInfo& tensor = source_.tensors()[i];
    if (is_left_out(tensor.name)) return;
    const std::string name = gguf_name(tensor.name);
    if (name.empty()) refuse_tensor(tensor, "GGUF has no name for it");
    const Storage storage = storage_of(tensor);
    const GgmlType* type = storage.format ? ggml_type_of(storage.format->name) : ggml_type_of(storage.dtype);
    if (!type) refuse_tensor(tensor, fmt::format("GGUF has no type {}", nibble::name(storage.dtype)));
    const std::int64_t heads = heads_of(tensor.name);
    if (tensor.shape.numel() == 0 || (heads > 0 && tensor.shape[0] != heads * config_.head_dim))
      refuse_tensor(tensor, fmt::format("{} is no shape of such a tensor", to_string(tensor.shape)));
    entries_.push_back({i, name, storage, heads});
    declarations_.push_back({name, type, tensor.shape});
  }

  [[noreturn]] void refuse_tensor(const TensorInfo& tensor, std::string_view rule) const {
    refuse(ErrorCode::unsupported, checkpoint_.path(), tensor.name, rule);
  }

  void write_tensor(const Entry& entry, GgufParts* writer) const {
    const std::int64_t unit = entry.heads > 0 ? config_.head_dim : 1;
    for (const Tensor& part : source_.parts(entry.index)) {
      for_each_block(part, unit, [&](const Tensor& rows) {
        const Tensor made = stored(rows, entry.storage);
        const Tensor elements = made.is_quantized() ? packing_of(made).components.front().second : made;
        writer->append(entry.name, entry.heads > 0 ? in_pairs(elements) : elements);
        source_.forget(rows);
      });
    }
  }

  /// Rows s·D/2 + j of whole heads → rows 2j + s.
  Tensor in_pairs(const Tensor& rows) const {
    const std::int64_t half = config_.head_dim / 2, heads = rows.size(0) / config_.head_dim;
    return swapaxes(reshape(rows, {heads, 2, half, rows.numel() / rows.size(0)}), 1, 2);
  }

  void report(std::size_t done, std::string_view name) const {
    if (options_.progress) options_.progress(done, source_.tensors().size(), name);
  }

  const Checkpoint& checkpoint_;
  const WeightSource& source_;
  const ModelConfig& config_;
  const ArchitectureRow& row_;
  GgufOptions options_;
  const fs::path& out_;
  std::vector<Entry> entries_;
  std::vector<GgufDeclaration> declarations_;
};

}  // namespace

WrittenGguf write_model_gguf(const Checkpoint& checkpoint, const fs::path& out, const GgufOptions& options) {
  return with_system_errors([&] { return GgufModelWriter(checkpoint, out, options).write(); });
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
