#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "adapters/files/architectures.h"
#include "adapters/files/file_error.h"
#include "adapters/files/gguf_source.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

/// The metadata of one architecture: keys are given without its prefix.
class Keys {
 public:
  Keys(const GgufFile& file, std::string architecture) : file_(file), prefix_(std::move(architecture) + ".") {}

  std::string full(std::string_view key) const { return prefix_ + std::string(key); }
  std::optional<std::int64_t> integer(std::string_view key) const { return file_.integer(full(key)); }
  std::optional<double> number(std::string_view key) const { return file_.number(full(key)); }
  std::optional<std::string_view> text(std::string_view key) const { return file_.text(full(key)); }

  std::int64_t size(std::string_view key, std::optional<std::int64_t> otherwise = {}) const {
    const auto value = integer(key) ? integer(key) : otherwise;
    if (!value) bad(key, "is missing");
    if (*value <= 0 || *value > kLargestSize) bad(key, fmt::format("{} is not a size", *value));
    return *value;
  }
  /// Of a number that may be a list by layers, which must agree.
  std::int64_t size_of_all_layers(std::string_view key, std::int64_t otherwise) const {
    const auto list = file_.integers(full(key));
    if (!list || list->empty()) return otherwise;
    if (std::ranges::any_of(*list, [&](std::int64_t n) { return n != list->front(); }))
      unsupported(key, "differs between layers, which is not supported");
    if (list->front() <= 0 || list->front() > otherwise)
      bad(key, fmt::format("{} is not a number of heads", list->front()));
    return list->front();
  }
  [[noreturn]] void bad(std::string_view key, std::string_view rule) const { bad_file(file_.path(), full(key), rule); }
  [[noreturn]] void unsupported(std::string_view key, std::string_view rule) const {
    refuse(ErrorCode::unsupported, file_.path(), full(key), rule);
  }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

void refuse_what_changes_the_arithmetic(const Keys& keys, const ArchitectureRow& row) {
  std::vector<const char*> counts{"nextn_predict_layers", "leading_dense_block_count", "expert_group_count"};
  if (!row.has_experts) counts.insert(counts.end(), {"expert_count", "expert_used_count"});
  for (const char* key : counts) {
    if (const auto value = keys.integer(key); value && *value != 0)
      keys.unsupported(key, fmt::format("{} is not supported", *value));
  }
  constexpr std::int64_t kSoftmax = 1;
  if (const auto gate = keys.integer("expert_gating_func"); gate && *gate != 0 && *gate != kSoftmax)
    keys.unsupported("expert_gating_func", fmt::format("{} is not supported (softmax is)", *gate));
  // Granite and its kin: all of these multiply something.
  for (const char* key : {"logit_scale", "residual_scale", "embedding_scale", "attention.scale",
                          "rope.scaling.attn_factor", "expert_weights_scale"}) {
    const auto value = keys.number(key);
    if (value && *value != 1 && *value != 0)
      keys.unsupported(key, fmt::format("{} changes the arithmetic and is not supported", *value));
  }
  for (const char* key :
       {"attn_logit_softcapping", "final_logit_softcapping", "attention.max_alibi_bias", "attention.clamp_kqv"}) {
    if (const auto value = keys.number(key); value && *value != 0)
      keys.unsupported(key, fmt::format("{} changes the arithmetic and is not supported", *value));
  }
}

RopeScaling read_rope_scaling(const Keys& keys, std::int64_t context) {
  RopeScaling scaling;
  const std::string_view type = keys.text("rope.scaling.type").value_or("none");
  // Before there was a type, a factor alone meant linear.
  const auto factor =
      keys.number("rope.scaling.factor") ? keys.number("rope.scaling.factor") : keys.number("rope.scale_linear");
  if (type == "none" && !factor) return scaling;
  if (type == "none" && keys.text("rope.scaling.type")) return scaling;
  if (!factor || !(*factor >= 1)) keys.bad("rope.scaling.factor", factor ? "is below 1" : "is missing");
  scaling.factor = *factor;
  if (type == "none" || type == "linear") {
    scaling.type = *factor == 1 ? RopeScaling::Type::none : RopeScaling::Type::linear;
  } else if (type == "yarn") {
    scaling.type = RopeScaling::Type::yarn;
    scaling.original_max_position_embeddings = keys.size("rope.scaling.original_context_length", context);
    scaling.beta_fast = keys.number("rope.scaling.yarn_beta_fast").value_or(32);
    scaling.beta_slow = keys.number("rope.scaling.yarn_beta_slow").value_or(1);
    if (const auto mscale = keys.number("rope.scaling.yarn_log_multiplier"); mscale && *mscale != 0) {
      keys.unsupported("rope.scaling.yarn_log_multiplier", fmt::format("{} is not supported", *mscale));
    }
  } else {
    keys.unsupported("rope.scaling.type", fmt::format("{} is not supported (none, linear and yarn are)", shown(type)));
  }
  return scaling;
}

/// Whether this scaling gives these divisors.
bool gives(const RopeScaling& scaling, double theta, const std::vector<float>& factors) {
  const auto dims = static_cast<std::int64_t>(2 * factors.size());
  return std::ranges::equal(factors, rope_divisors(dims, theta, scaling), [](float stored, double expected) {
    return std::abs(stored - expected) <= 1e-4 * expected;
  });
}

/// llama.cpp's converter writes Llama 3's scaling as a divisor for each frequency. Finds the parameters again: `factor`
/// is the largest divisor, the rest is as every such model has it, or solved from two frequencies in between, where the
/// smoothing is linear in 1/wavelength. Nothing where no parameters give these divisors.
std::optional<RopeScaling> llama3_scaling_of(const std::vector<float>& factors, double theta) {
  RopeScaling scaling;
  scaling.type = RopeScaling::Type::llama3;
  scaling.factor = *std::ranges::max_element(factors);
  scaling.low_freq_factor = 1;
  scaling.high_freq_factor = 4;
  scaling.original_max_position_embeddings = 8192;
  if (gives(scaling, theta, factors)) return scaling;

  std::vector<std::pair<double, double>> between;  // 1/wavelength, smoothing
  for (std::size_t i = 0; i < factors.size(); ++i) {
    const double smooth = (1.0 / factors[i] - 1 / scaling.factor) / (1 - 1 / scaling.factor);
    if (smooth <= 1e-3 || smooth >= 1 - 1e-3) continue;
    const double plain = std::pow(theta, -static_cast<double>(i) / static_cast<double>(factors.size()));
    between.emplace_back(plain / (2 * std::numbers::pi), smooth);
  }
  const auto try_context = [&](double high, double context) {
    scaling.high_freq_factor = high;
    scaling.original_max_position_embeddings = std::llround(context);
    return high > 1 && context >= 1 && context < 1e9 && gives(scaling, theta, factors);
  };
  if (between.size() >= 2) {
    const auto [x0, y0] = between.front();
    const auto [x1, y1] = between.back();
    const double slope = (y1 - y0) / (x1 - x0), height = y0 - slope * x0;  // context / (high − 1), −1 / (high − 1)
    const double high = 1 - 1 / height;
    if (try_context(std::round(high * 100) / 100, slope * (high - 1))) return scaling;
  } else if (between.size() == 1) {
    const auto [x, y] = between.front();
    if (try_context(4, (y * 3 + 1) / x)) return scaling;
  } else {
    // Two steps and nothing between them: any context between will do, and lengths are powers of two.
    for (int context = 16; context < 100'000'000; context *= 2) {
      if (try_context(4, context)) return scaling;
    }
  }
  return {};
}

void read_rope_factors(const GgufFile& file, ModelConfig* config) {
  const GgufTensor* tensor = file.find_tensor("rope_freqs.weight");
  if (!tensor) return;
  if (tensor->type->dtype != DType::f32 || tensor->shape != Shape{config->head_dim / 2}) {
    bad_file(
        file.path_of(*tensor), tensor->name,
        fmt::format("is {} {}, not F32 ({},)", tensor->type->name, to_string(tensor->shape), config->head_dim / 2));
  }
  std::vector<float> factors = file.tensor(*tensor).to_vector<float>();
  if (std::ranges::any_of(factors, [](float f) { return !(f > 0) || std::isinf(f); }))
    bad_file(file.path_of(*tensor), tensor->name, "a factor is not positive");
  if (std::ranges::all_of(factors, [](float f) { return f == 1; })) return;
  if (config->rope_scaling.type != RopeScaling::Type::none)
    refuse(ErrorCode::unsupported, file.path_of(*tensor), tensor->name,
           "together with rope.scaling.type is not supported");
  if (const auto scaling = llama3_scaling_of(factors, config->rope_theta)) {
    config->rope_scaling = *scaling;
  } else {
    config->rope_factors = std::move(factors);
  }
}

std::optional<ExpertsConfig> read_experts(const Keys& keys, const ArchitectureRow& row, std::int64_t intermediate) {
  if (!row.has_experts) return {};
  ExpertsConfig experts;
  experts.count = keys.size("expert_count");
  experts.used = keys.size("expert_used_count");
  if (experts.used > experts.count)
    keys.bad("expert_used_count", fmt::format("{} of {} experts", experts.used, experts.count));
  // What llama.cpp takes where older files say nothing.
  const std::int64_t each = std::max<std::int64_t>(1, intermediate / experts.used);
  experts.intermediate_size = keys.size("expert_feed_forward_length", each);
  if (row.architecture == Architecture::qwen2_moe)
    experts.shared_intermediate_size = keys.size("expert_shared_feed_forward_length", intermediate);
  experts.normalize = row.normalizes_experts;
  return experts;
}

}  // namespace

std::string gguf_architecture(const GgufFile& file) {
  return std::string(file.text("general.architecture").value_or(""));
}

ModelConfig gguf_config(const GgufFile& file) {
  const std::string name = gguf_architecture(file);
  const ArchitectureRow* row = find_gguf_architecture(name);
  if (!row) {
    refuse(ErrorCode::unsupported, file.path(), "general.architecture",
           fmt::format("{} is not a model that nibble runs ({} are)", shown(name), gguf_architectures()));
  }
  const Keys keys(file, name);
  refuse_what_changes_the_arithmetic(keys, *row);
  ModelConfig config;
  config.model_type = row->model_type;
  config.architecture = row->architecture;
  config.hidden_size = keys.size("embedding_length");
  config.intermediate_size = keys.size("feed_forward_length");
  config.num_hidden_layers = keys.size("block_count");
  if (config.num_hidden_layers > kMostLayers)
    keys.bad("block_count", fmt::format("{} is no number of layers", config.num_hidden_layers));
  config.num_attention_heads = keys.size("attention.head_count");
  config.num_key_value_heads = keys.size_of_all_layers("attention.head_count_kv", config.num_attention_heads);
  if (config.num_attention_heads % config.num_key_value_heads != 0)
    keys.bad("attention.head_count_kv", "does not divide head_count");
  config.head_dim = keys.size("attention.key_length", config.hidden_size / config.num_attention_heads);
  if (keys.size("attention.value_length", config.head_dim) != config.head_dim)
    keys.unsupported("attention.value_length", "other than key_length is not supported");
  if (keys.size("rope.dimension_count", config.head_dim) != config.head_dim)
    keys.unsupported("rope.dimension_count", "below the head's size is not supported");
  if (config.head_dim % 2 != 0) keys.bad("attention.key_length", "is odd: rotary embeddings need pairs");
  config.max_position_embeddings = keys.size("context_length", 2048);
  config.rms_norm_eps = keys.number("attention.layer_norm_rms_epsilon").value_or(1e-5);
  config.rope_theta = keys.number("rope.freq_base").value_or(10000);
  if (!(config.rope_theta > 0)) keys.bad("rope.freq_base", "is not positive");
  if (!(config.rms_norm_eps >= 0)) keys.bad("attention.layer_norm_rms_epsilon", "is negative, or no number");
  config.rope_scaling = read_rope_scaling(keys, config.max_position_embeddings);
  read_rope_factors(file, &config);
  config.qk_norm = row->qk_norm;
  config.experts = read_experts(keys, *row, config.intermediate_size);
  config.attention_bias = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  config.attention_output_bias = file.find_tensor("blk.0.attn_output.bias") != nullptr;
  config.mlp_bias = file.find_tensor("blk.0.ffn_up.bias") != nullptr;
  config.tie_word_embeddings = file.find_tensor("output.weight") == nullptr;
  if (const auto window = keys.integer("attention.sliding_window");
      window && *window > 0 && *window < config.max_position_embeddings) {
    config.sliding_window = *window;
    if (config.architecture == Architecture::llama) {  // which has none: GGUF calls Mistral's models so as well
      config.architecture = Architecture::mistral;
      config.model_type = "mistral";
    }
  }
  if (const GgufTensor* embedding = file.find_tensor("token_embd.weight"); embedding && embedding->shape.rank() == 2) {
    config.vocab_size = embedding->shape[0];
  } else {
    config.vocab_size = keys.size("vocab_size");
  }
  config.bos_token_id = file.integer("tokenizer.ggml.bos_token_id");
  config.eos_token_ids = gguf_generation(file).eos_token_ids;
  return config;
}

GenerationConfig gguf_generation(const GgufFile& file) {
  GenerationConfig config;
  config.bos_token_id = file.integer("tokenizer.ggml.bos_token_id");
  // Whoever wants an answer to end stops at the end of a turn too.
  for (const char* key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    const auto id = file.integer(key);
    if (id && std::ranges::find(config.eos_token_ids, *id) == config.eos_token_ids.end())
      config.eos_token_ids.push_back(*id);
  }
  return config;
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
