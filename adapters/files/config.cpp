#include "adapters/files/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "adapters/files/architectures.h"
#include "adapters/files/config_reader.h"
#include "adapters/files/file_error.h"
#include "adapters/files/json_events.h"
#include "adapters/files/packer.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

using nlohmann::json;

Architecture architecture_of(const Reader& reader, const std::string& model_type) {
  std::string known;
  for (const ArchitectureRow& row : architecture_table()) {
    if (row.model_type == model_type) return row.architecture;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.model_type);
  }
  reader.unsupported("model_type",
                     fmt::format("{} is not a model that nibble runs ({} are)", shown(model_type), known));
}

/// Two spellings of one size.
constexpr std::array<const char*, 2> kExpertCounts{"num_experts", "num_local_experts"};

/// mlx-lm's `quantization` and its mirror have bits and group_size and no quant_method; every other packer names
/// itself.
void refuse_unknown_packers(const json& object, const Reader& reader) {
  const json* packing = reader.find("quantization_config");
  if (!packing) return;
  if (!packing->is_object()) reader.bad("quantization_config", "is not an object");
  const auto method = packing->find("quant_method");
  if (method != packing->end() && method->is_string()) {
    if (find_packing_method(method->get<std::string>())) return;
    reader.unsupported("quantization_config", fmt::format("quant_method {} is not supported ({} are)",
                                                          shown(method->get<std::string>()), packing_methods()));
  }
  if (!object.contains("quantization") && !packing->contains("group_size")) {
    reader.unsupported("quantization_config", "is not of a method that is supported");
  }
}

/// llama3 and yarn are stretched from the length that the model was first trained on.
RopeScaling read_rope_scaling(const json& object, const Reader& outer, const std::string& origin, const char* where) {
  const Reader reader(object, origin, fmt::format("{}.", where));
  RopeScaling scaling;
  const std::string type = reader.text("rope_type").value_or(reader.text("type").value_or("default"));
  const std::int64_t context = outer.size_or("max_position_embeddings", 2048);
  if (type == "default") return scaling;

  const auto factor = reader.number("factor");
  if (!factor || !(*factor >= 1)) reader.bad("factor", factor ? "is below 1" : "is missing");
  scaling.factor = *factor;
  if (type == "linear") {
    scaling.type = RopeScaling::Type::linear;
  } else if (type == "llama3") {
    scaling.type = RopeScaling::Type::llama3;
    for (const char* key : {"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}) {
      if (!reader.find(key)) reader.bad(key, "is missing");
    }
    scaling.low_freq_factor = *reader.number("low_freq_factor");
    scaling.high_freq_factor = *reader.number("high_freq_factor");
    scaling.original_max_position_embeddings = reader.size("original_max_position_embeddings");
    if (!(scaling.high_freq_factor > scaling.low_freq_factor))
      reader.bad("high_freq_factor", "is not above low_freq_factor");
  } else if (type == "yarn") {
    scaling.type = RopeScaling::Type::yarn;
    scaling.beta_fast = reader.number("beta_fast").value_or(32);
    scaling.beta_slow = reader.number("beta_slow").value_or(1);
    scaling.attention_factor = reader.number("attention_factor");
    scaling.mscale = reader.number("mscale");
    scaling.mscale_all_dim = reader.number("mscale_all_dim");
    scaling.truncate = reader.boolean("truncate").value_or(true);
    // transformers takes the model's whole length where the original one is not given.
    scaling.original_max_position_embeddings = reader.size_or("original_max_position_embeddings", context);
  } else {
    reader.unsupported("rope_type",
                       fmt::format("{} is not supported (default, linear, llama3 and yarn are)", shown(type)));
  }
  return scaling;
}

void read_rope(const Reader& reader, const std::string& origin, ModelConfig* config) {
  const char* where = reader.find("rope_parameters") ? "rope_parameters" : "rope_scaling";
  config->rope_theta = reader.number("rope_theta").value_or(10000);
  if (const json* rope = reader.find(where)) {
    if (!rope->is_object()) reader.bad(where, "is not an object");
    if (rope->contains("full_attention") || rope->contains("sliding_attention")) {
      reader.unsupported(where, "rope parameters by layer type are not supported");
    }
    const Reader inner(*rope, origin, fmt::format("{}.", where));
    if (const auto theta = inner.number("rope_theta")) config->rope_theta = *theta;
    if (const auto part = inner.number("partial_rotary_factor"); part && *part != 1) {
      inner.unsupported("partial_rotary_factor", fmt::format("{} is not supported (only 1 is)", *part));
    }
    if (inner.find("mrope_section")) inner.unsupported("mrope_section", "changes the arithmetic and is not supported");
    config->rope_scaling = read_rope_scaling(*rope, reader, origin, where);
  }
  if (!(config->rope_theta > 0)) reader.bad("rope_theta", "is not positive");
}

std::string activation_of(const Reader& reader) {
  const std::string name = reader.text("hidden_act").value_or("silu");
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kNames{{{"silu", "silu"},
                                                                                 {"swish", "silu"},
                                                                                 {"gelu", "gelu"},
                                                                                 {"gelu_new", "gelu_tanh"},
                                                                                 {"gelu_pytorch_tanh", "gelu_tanh"},
                                                                                 {"gelu_tanh", "gelu_tanh"},
                                                                                 {"gelu_python", "gelu"},
                                                                                 {"relu", "relu"}}};
  for (const auto& [spelling, meaning] : kNames) {
    if (spelling == name) return std::string(meaning);
  }
  reader.unsupported("hidden_act", fmt::format("{} is not supported", shown(name)));
}

/// Of layer_types: the layers that see every key.
std::vector<std::int64_t> full_layers_of(const Reader& reader, const json& types, std::int64_t count) {
  if (!types.is_array()) reader.bad("layer_types", "is not a list");
  if (static_cast<std::int64_t>(types.size()) != count)
    reader.bad("layer_types", fmt::format("{} of them for {} layers", types.size(), count));
  std::vector<std::int64_t> full;
  for (std::int64_t i = 0; i < count; ++i) {
    const json& type = types[static_cast<std::size_t>(i)];
    if (type == "full_attention")
      full.push_back(i);
    else if (type != "sliding_attention")
      reader.unsupported("layer_types", fmt::format("{} is not supported", shown(type.dump())));
  }
  return full;
}

/// The window that transformers gives to some or all layers, where a context of full length would not fit into it.
void read_window(const Reader& reader, ModelConfig* config) {
  const bool is_mistral = config->architecture == Architecture::mistral;
  const bool by_layer = config->architecture == Architecture::qwen2 || config->architecture == Architecture::qwen3;
  auto window = reader.integer("sliding_window");
  if (is_mistral && !reader.has("sliding_window")) window = 4096;   // transformers' default
  if (config->architecture == Architecture::llama) window.reset();  // transformers' Llama has none
  if (!is_mistral && !reader.boolean("use_sliding_window").value_or(false)) window.reset();
  if (window && *window <= 0) reader.bad("sliding_window", fmt::format("{} is not a size", *window));

  const bool hides = window && *window < config->max_position_embeddings;
  const std::int64_t first = by_layer ? reader.integer("max_window_layers").value_or(28) : 0;
  for (std::int64_t i = 0; window && i < std::min(first, config->num_hidden_layers); ++i)
    config->full_layers.push_back(i);
  if (const json* layers = reader.find("layer_types")) {
    std::vector<std::int64_t> full = full_layers_of(reader, *layers, config->num_hidden_layers);
    const bool all_full = static_cast<std::int64_t>(full.size()) == config->num_hidden_layers;
    if (by_layer && window) {
      config->full_layers = std::move(full);
    } else if (window ? hides && !full.empty() : !all_full) {  // transformers does not look at them
      reader.unsupported("layer_types", "contradict the model's sliding_window");
    }
  }
  const bool none_slide = static_cast<std::int64_t>(config->full_layers.size()) == config->num_hidden_layers;
  if (none_slide || !hides) window.reset();
  if (!window) config->full_layers.clear();
  // transformers 4 and 5 do not agree on which layers.
  if (window && config->architecture == Architecture::qwen2_moe)
    reader.unsupported("use_sliding_window", "is not supported in this model");
  config->sliding_window = window;
}

void read_biases(const Reader& reader, ModelConfig* config) {
  switch (config->architecture) {
    case Architecture::llama:
    case Architecture::qwen3:
    case Architecture::qwen3_moe:
      config->attention_bias = config->attention_output_bias = reader.boolean("attention_bias").value_or(false);
      break;
    case Architecture::qwen2:
      config->attention_bias = true;  // whatever the key says, as in transformers
      break;
    case Architecture::qwen2_moe: config->attention_bias = reader.boolean("qkv_bias").value_or(true); break;
    case Architecture::mistral:
      config->attention_bias = config->attention_output_bias = reader.boolean("attention_bias").value_or(false);
      break;
  }
  config->mlp_bias = config->architecture == Architecture::llama && reader.boolean("mlp_bias").value_or(false);
}

std::optional<ExpertsConfig> read_experts(const Reader& reader, const ModelConfig& config) {
  if (!architecture_row(config.architecture).has_experts) return {};
  std::optional<std::int64_t> count;
  for (const char* key : kExpertCounts) {
    const auto value = reader.integer(key);
    if (value && count && *value != *count) reader.bad(key, fmt::format("{} and {} differ", kExpertCounts[0], key));
    if (value) count = value;
  }
  if (count == 0) return {};
  ExpertsConfig experts;
  experts.count = reader.size(reader.find(kExpertCounts[1]) ? kExpertCounts[1] : kExpertCounts[0]);
  experts.used = reader.size("num_experts_per_tok");
  if (experts.used > experts.count)
    reader.bad("num_experts_per_tok", fmt::format("{} of {} experts", experts.used, experts.count));
  experts.intermediate_size = reader.size("moe_intermediate_size");
  experts.normalize = reader.boolean("norm_topk_prob").value_or(false);
  if (config.architecture == Architecture::qwen2_moe)
    experts.shared_intermediate_size = reader.size("shared_expert_intermediate_size");
  experts.sparse_step = reader.size_or("decoder_sparse_step", 1);
  experts.dense_layers = reader.integers("mlp_only_layers");
  return experts;
}

std::optional<DType> dtype_of_config(const Reader& reader) {
  auto text = reader.text("dtype");
  if (!text) text = reader.text("torch_dtype");
  if (!text || *text == "auto") return {};
  std::string_view spelling = *text;
  if (spelling.starts_with("torch.")) spelling.remove_prefix(6);
  const auto dtype = parse_dtype(spelling);
  if (!dtype || !is_floating(*dtype))
    reader.unsupported("torch_dtype", fmt::format("{} is not supported", shown(*text)));
  return dtype;
}

}  // namespace

bool ExpertsConfig::in_layer(std::int64_t layer) const {
  return (layer + 1) % sparse_step == 0 && std::ranges::find(dense_layers, layer) == dense_layers.end();
}

bool ModelConfig::slides(std::int64_t layer) const {
  return sliding_window && std::ranges::find(full_layers, layer) == full_layers.end();
}

ModelConfig parse_config(std::string_view text, const std::string& origin) {
  const json object = parse_small_json(text, origin);
  const Reader reader(object, origin);
  ModelConfig config;
  config.model_type = reader.text("model_type").value_or("");
  config.architecture = architecture_of(reader, config.model_type);
  refuse_unknown_packers(object, reader);

  config.hidden_size = reader.size("hidden_size");
  config.intermediate_size = reader.size("intermediate_size");
  config.num_hidden_layers = reader.size("num_hidden_layers");
  if (config.num_hidden_layers > kMostLayers)
    reader.bad("num_hidden_layers", fmt::format("{} is no number of layers", config.num_hidden_layers));
  config.num_attention_heads = reader.size("num_attention_heads");
  config.num_key_value_heads = reader.size_or("num_key_value_heads", config.num_attention_heads);
  config.vocab_size = reader.size("vocab_size");
  config.max_position_embeddings = reader.size_or("max_position_embeddings", 2048);
  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    reader.bad("num_key_value_heads", fmt::format("{} does not divide {} attention heads", config.num_key_value_heads,
                                                  config.num_attention_heads));
  }
  const bool has_head_dim = reader.find("head_dim") != nullptr;
  if (!has_head_dim && config.architecture == Architecture::qwen3) {
    config.head_dim = 128;  // transformers' default
  } else if (!has_head_dim && config.hidden_size % config.num_attention_heads != 0) {
    reader.bad("num_attention_heads",
               fmt::format("{} does not divide hidden_size {}", config.num_attention_heads, config.hidden_size));
  } else {
    config.head_dim = reader.size_or("head_dim", config.hidden_size / config.num_attention_heads);
  }
  if (config.head_dim % 2 != 0)
    reader.bad("head_dim", fmt::format("{} is odd: rotary embeddings need pairs", config.head_dim));

  config.rms_norm_eps = reader.number("rms_norm_eps").value_or(1e-6);
  if (!(config.rms_norm_eps >= 0)) reader.bad("rms_norm_eps", "is negative");
  read_rope(reader, origin, &config);
  config.hidden_act = activation_of(reader);
  read_biases(reader, &config);
  config.qk_norm = architecture_row(config.architecture).qk_norm;
  config.tie_word_embeddings = reader.boolean("tie_word_embeddings").value_or(false);
  config.experts = read_experts(reader, config);
  read_window(reader, &config);
  const auto bos = reader.integers("bos_token_id");
  if (!bos.empty()) config.bos_token_id = bos.front();
  config.eos_token_ids = reader.integers("eos_token_id");
  config.dtype = dtype_of_config(reader);
  refuse_what_changes_the_arithmetic(reader, config);
  return config;
}

GenerationConfig parse_generation_config(std::string_view text, const std::string& origin) {
  const json object = parse_small_json(text, origin);
  const Reader reader(object, origin);
  GenerationConfig config;
  config.do_sample = reader.boolean("do_sample").value_or(false);
  config.temperature = reader.number("temperature");
  config.top_p = reader.number("top_p");
  config.min_p = reader.number("min_p");
  config.repetition_penalty = reader.number("repetition_penalty");
  config.top_k = reader.integer("top_k");
  const auto bos = reader.integers("bos_token_id");
  if (!bos.empty()) config.bos_token_id = bos.front();
  config.eos_token_ids = reader.integers("eos_token_id");
  return config;
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
