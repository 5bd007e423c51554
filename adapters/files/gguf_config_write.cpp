#include <fmt/format.h>

#include "adapters/files/architectures.h"
#include "adapters/files/file_error.h"
#include "adapters/files/gguf_metadata.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

[[noreturn]] void unsupported(std::string_view key, std::string_view rule) {
  throw Error(ErrorCode::unsupported, fmt::format("[gguf] {}: {}", key, rule));
}

/// What llama.cpp takes for granted of its architectures.
void refuse_what_has_no_key(const ModelConfig& c, const ArchitectureRow& row) {
  if (c.hidden_act != "silu") unsupported("hidden_act", fmt::format("{} cannot be said (only silu can)", c.hidden_act));
  if (!c.full_layers.empty()) unsupported("layer_types", "a window in some layers only cannot be said");
  if (!c.experts) return;
  if (c.experts->sparse_step != 1) unsupported("decoder_sparse_step", "other than 1 cannot be said");
  if (!c.experts->dense_layers.empty()) unsupported("mlp_only_layers", "cannot be said");
  if (c.experts->normalize != row.normalizes_experts)
    unsupported("norm_topk_prob", fmt::format("{} cannot be said of {}", c.experts->normalize, row.gguf_name));
}

/// Keys get the architecture's name in front.
class ArchitecturePairs {
 public:
  ArchitecturePairs(std::string_view name, GgufPairs* out) : name_(name), out_(*out) {}
  void count(std::string_view key, std::int64_t value) { out_.count(full(key), value); }
  void number(std::string_view key, double value) { out_.number(full(key), value); }
  void text(std::string_view key, std::string_view value) { out_.text(full(key), value); }

 private:
  std::string full(std::string_view key) const { return fmt::format("{}.{}", name_, key); }
  std::string_view name_;
  GgufPairs& out_;
};

void write_rope(const ModelConfig& c, const ArchitectureRow& row, ArchitecturePairs* out) {
  const RopeScaling& scaling = c.rope_scaling;
  out->count("rope.dimension_count", c.head_dim);
  out->number("rope.freq_base", c.rope_theta);
  switch (scaling.type) {
    case RopeScaling::Type::none: return;
    case RopeScaling::Type::llama3:  // see gguf_rope_factors
      if (!row.pairs_neighbours) unsupported("rope_scaling", fmt::format("llama3 cannot be said of {}", row.gguf_name));
      return;
    case RopeScaling::Type::linear:
      out->text("rope.scaling.type", "linear");
      out->number("rope.scaling.factor", scaling.factor);
      return;
    case RopeScaling::Type::yarn: break;
  }
  if (scaling.attention_factor || scaling.mscale || scaling.mscale_all_dim || !scaling.truncate)
    unsupported("rope_scaling", "yarn with factors of its own for attention, or without truncation, cannot be said");
  out->text("rope.scaling.type", "yarn");
  out->number("rope.scaling.factor", scaling.factor);
  out->count("rope.scaling.original_context_length", scaling.original_max_position_embeddings);
  out->number("rope.scaling.yarn_beta_fast", scaling.beta_fast);
  out->number("rope.scaling.yarn_beta_slow", scaling.beta_slow);
}

}  // namespace

void write_gguf_config(const ModelConfig& c, GgufPairs* pairs) {
  const ArchitectureRow& row = architecture_row(c.architecture);
  refuse_what_has_no_key(c, row);
  constexpr int kBlocksVersion = 2;  // ggml's GGML_QNT_VERSION
  pairs->text("general.architecture", row.gguf_name);
  pairs->text("general.type", "model");
  pairs->count("general.quantization_version", kBlocksVersion);
  ArchitecturePairs out(row.gguf_name, pairs);
  out.count("vocab_size", c.vocab_size);
  out.count("context_length", c.max_position_embeddings);
  out.count("embedding_length", c.hidden_size);
  out.count("feed_forward_length", c.intermediate_size);
  out.count("block_count", c.num_hidden_layers);
  out.count("attention.head_count", c.num_attention_heads);
  out.count("attention.head_count_kv", c.num_key_value_heads);
  out.count("attention.key_length", c.head_dim);
  out.count("attention.value_length", c.head_dim);
  out.number("attention.layer_norm_rms_epsilon", c.rms_norm_eps);
  if (c.sliding_window) out.count("attention.sliding_window", *c.sliding_window);
  write_rope(c, row, &out);
  if (!c.experts) return;
  out.count("expert_count", c.experts->count);
  out.count("expert_used_count", c.experts->used);
  out.count("expert_feed_forward_length", c.experts->intermediate_size);
  if (c.experts->shared_intermediate_size > 0)
    out.count("expert_shared_feed_forward_length", c.experts->shared_intermediate_size);
}

std::vector<float> gguf_rope_factors(const ModelConfig& c) {
  if (c.rope_scaling.type != RopeScaling::Type::llama3) return c.rope_factors;
  const std::vector<double> divisors = rope_divisors(c.head_dim, c.rope_theta, c.rope_scaling);
  return {divisors.begin(), divisors.end()};
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
