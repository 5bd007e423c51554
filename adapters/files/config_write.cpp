#include "adapters/files/config_write.h"

#include <fmt/format.h>

#include "adapters/files/architectures.h"
#include "adapters/files/expert_stacks.h"
#include "adapters/files/file_error.h"
#include "adapters/files/json_events.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

using nlohmann::ordered_json;

// PyTorch's names, which config.json uses.
std::string torch_name(DType dtype) {
  switch (dtype) {
    case DType::f16: return "float16";
    case DType::bf16: return "bfloat16";
    case DType::f64: return "float64";
    default: return "float32";
  }
}

ordered_json rope_scaling_json(const RopeScaling& scaling) {
  switch (scaling.type) {
    case RopeScaling::Type::none: return nullptr;
    case RopeScaling::Type::linear: return {{"rope_type", "linear"}, {"type", "linear"}, {"factor", scaling.factor}};
    case RopeScaling::Type::llama3:
      return {{"rope_type", "llama3"},
              {"factor", scaling.factor},
              {"low_freq_factor", scaling.low_freq_factor},
              {"high_freq_factor", scaling.high_freq_factor},
              {"original_max_position_embeddings", scaling.original_max_position_embeddings}};
    case RopeScaling::Type::yarn: break;
  }
  ordered_json yarn{{"rope_type", "yarn"},
                    {"type", "yarn"},
                    {"factor", scaling.factor},
                    {"beta_fast", scaling.beta_fast},
                    {"beta_slow", scaling.beta_slow},
                    {"original_max_position_embeddings", scaling.original_max_position_embeddings}};
  if (scaling.attention_factor) yarn["attention_factor"] = *scaling.attention_factor;
  if (scaling.mscale) yarn["mscale"] = *scaling.mscale;
  if (scaling.mscale_all_dim) yarn["mscale_all_dim"] = *scaling.mscale_all_dim;
  if (!scaling.truncate) yarn["truncate"] = false;
  return yarn;
}

ordered_json id_or_list(const std::vector<std::int64_t>& ids) {
  if (ids.empty()) return nullptr;
  return ids.size() == 1 ? ordered_json(ids.front()) : ordered_json(ids);
}

// transformers 5 puts theta into rope_parameters; readers of version 4 would compute with their default instead.
void spell_rope_as_version_4(ordered_json* config) {
  auto rope = config->find("rope_parameters");
  if (rope == config->end()) return;
  if (!rope->is_object() || rope->contains("full_attention") || rope->contains("sliding_attention")) return;
  ordered_json scaling = *rope;
  config->erase(rope);
  if (const auto theta = scaling.find("rope_theta"); theta != scaling.end()) {
    (*config)["rope_theta"] = *theta;
    scaling.erase(theta);
  }
  if (const auto part = scaling.find("partial_rotary_factor"); part != scaling.end()) {
    (*config)["partial_rotary_factor"] = *part;
    scaling.erase(part);
  }
  const bool is_default = scaling.value("rope_type", "default") == "default";
  (*config)["rope_scaling"] = is_default ? ordered_json(nullptr) : scaling;
}

// transformers 5 calls Qwen3-MoE's experts local; readers of version 4, and mlx-lm, do not.
void spell_experts_as_version_4(ordered_json* config) {
  const auto count = config->find("num_local_experts");
  if (count == config->end() || !has_expert_stacks(config->value("model_type", ""))) return;
  const ordered_json value = *count;
  config->erase(count);
  (*config)["num_experts"] = value;
}

void add_experts(const ExpertsConfig& experts, ordered_json* out) {
  out->update({{"num_experts", experts.count},
               {"num_experts_per_tok", experts.used},
               {"moe_intermediate_size", experts.intermediate_size},
               {"norm_topk_prob", experts.normalize},
               {"decoder_sparse_step", experts.sparse_step},
               {"mlp_only_layers", experts.dense_layers}});
  if (experts.shared_intermediate_size > 0)
    (*out)["shared_expert_intermediate_size"] = experts.shared_intermediate_size;
}

void add_window(const ModelConfig& config, ordered_json* out) {
  const bool is_mistral = config.architecture == Architecture::mistral;
  if (config.sliding_window) {
    (*out)["sliding_window"] = *config.sliding_window;
    if (!is_mistral) out->update({{"use_sliding_window", true}, {"max_window_layers", 0}});
  } else if (is_mistral) {
    (*out)["sliding_window"] = nullptr;
  }
}

ordered_json packing_json(const MlxPacking& packing) {
  const auto layer_json = [](const MlxPacking::Layer& layer) {
    ordered_json json{{"group_size", layer.params.group_size}, {"bits", layer.params.bits}, {"mode", layer.mode}};
    if (layer.version > 0) json["version"] = layer.version;
    return json;
  };
  ordered_json block = layer_json(packing.everywhere);
  for (const auto& [path, layer] : packing.overrides)
    block[path] = layer.packed ? layer_json(layer) : ordered_json(false);
  return block;
}

}  // namespace

std::string write_config(const ModelConfig& config) {
  if (!config.rope_factors.empty()) {
    throw Error(ErrorCode::unsupported,
                "[config.json] rope_freqs of this model are none of the rules that config.json can name");
  }
  ordered_json out{{"architectures", ordered_json::array({architecture_row(config.architecture).class_name})},
                   {"model_type", config.model_type},
                   {"hidden_size", config.hidden_size},
                   {"intermediate_size", config.intermediate_size},
                   {"num_hidden_layers", config.num_hidden_layers},
                   {"num_attention_heads", config.num_attention_heads},
                   {"num_key_value_heads", config.num_key_value_heads},
                   {"head_dim", config.head_dim},
                   {"vocab_size", config.vocab_size},
                   {"max_position_embeddings", config.max_position_embeddings},
                   {"rms_norm_eps", config.rms_norm_eps},
                   {"rope_theta", config.rope_theta},
                   {"rope_scaling", rope_scaling_json(config.rope_scaling)},
                   {"hidden_act", config.hidden_act == "gelu_tanh" ? "gelu_pytorch_tanh" : config.hidden_act},
                   {"attention_bias", config.attention_bias},
                   {"mlp_bias", config.mlp_bias},
                   {"tie_word_embeddings", config.tie_word_embeddings}};
  if (config.experts) add_experts(*config.experts, &out);
  if (config.architecture == Architecture::qwen2_moe) out["qkv_bias"] = config.attention_bias;
  add_window(config, &out);
  out["bos_token_id"] = config.bos_token_id ? ordered_json(*config.bos_token_id) : ordered_json(nullptr);
  out["eos_token_id"] = id_or_list(config.eos_token_ids);
  if (config.dtype) out["torch_dtype"] = torch_name(*config.dtype);
  return out.dump(2) + "\n";
}

std::string rewrite_config(std::string_view text, const std::string& origin, std::optional<DType> dtype,
                           const MlxPacking* packing) {
  parse_small_json(text, origin);  // for its checks
  ordered_json config = ordered_json::parse(text);
  spell_rope_as_version_4(&config);
  spell_experts_as_version_4(&config);
  if (config.contains("dtype")) {
    if (!config.contains("torch_dtype")) config["torch_dtype"] = config["dtype"];
    config.erase("dtype");
  }
  if (dtype) config["torch_dtype"] = torch_name(*dtype);
  if (packing) {
    config.erase("quantization");
    config.erase("quantization_config");
    if (packing->present) config["quantization"] = config["quantization_config"] = packing_json(*packing);
  }
  return config.dump(2) + "\n";
}

std::string write_generation_config(const GenerationConfig& config) {
  ordered_json out = ordered_json::object();
  if (config.bos_token_id) out["bos_token_id"] = *config.bos_token_id;
  if (!config.eos_token_ids.empty()) out["eos_token_id"] = id_or_list(config.eos_token_ids);
  if (config.do_sample) out["do_sample"] = true;
  if (config.temperature) out["temperature"] = *config.temperature;
  if (config.top_k) out["top_k"] = *config.top_k;
  if (config.top_p) out["top_p"] = *config.top_p;
  if (config.min_p) out["min_p"] = *config.min_p;
  if (config.repetition_penalty) out["repetition_penalty"] = *config.repetition_penalty;
  return out.dump(2) + "\n";
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
