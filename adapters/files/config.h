#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/dtype.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// The decoder models that adapters/llm runs.
enum class Architecture : std::uint8_t { llama, mistral, qwen2, qwen2_moe, qwen3, qwen3_moe };

/// No size of a model is larger: products of two stay far from overflow.
inline constexpr std::int64_t kLargestSize = std::int64_t{1} << 31;

/// Some properties are listed layer by layer: the list must not be a file's to lengthen.
inline constexpr std::int64_t kMostLayers = 1 << 16;

/// A mixture of experts, which takes the place of the feed-forward network in some layers.
struct ExpertsConfig {
  std::int64_t count = 0;
  std::int64_t used = 0;  ///< by each token: those that the router's softmax ranks first
  std::int64_t intermediate_size = 0;
  bool normalize = false;  ///< the used experts' weights are made to sum to 1
  /// Of the expert that every token passes, through a gate of its own (Qwen2-MoE); 0: there is none.
  std::int64_t shared_intermediate_size = 0;
  std::int64_t sparse_step = 1;            ///< only every so many layers have experts
  std::vector<std::int64_t> dense_layers;  ///< and these have none

  bool in_layer(std::int64_t layer) const;
  bool operator==(const ExpertsConfig&) const = default;
};

/// What the arithmetic of a decoder model depends on, whoever wrote the configuration.
struct ModelConfig {
  Architecture architecture = Architecture::llama;
  std::string model_type;  ///< "llama", "mistral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe"
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t vocab_size = 0;
  std::int64_t max_position_embeddings = 2048;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000;
  RopeScaling rope_scaling;
  /// From a GGUF whose rope_freqs no known rule gives: what each inverse frequency is divided by. Else empty.
  std::vector<float> rope_factors;
  std::string hidden_act = "silu";     ///< "silu", "gelu", "gelu_tanh" or "relu"
  bool attention_bias = false;         ///< q, k and v projections have a bias
  bool attention_output_bias = false;  ///< so has the output projection
  bool mlp_bias = false;
  bool qk_norm = false;  ///< RMS norm on each head of q and k (Qwen3)
  bool tie_word_embeddings = false;
  std::optional<ExpertsConfig> experts;
  /// Keys further back than this are not seen by layers that slide. Set only where it is in force: who computes without
  /// a window must refuse contexts that are longer.
  std::optional<std::int64_t> sliding_window;
  std::vector<std::int64_t> full_layers;  ///< those that see every key all the same
  std::optional<std::int64_t> bos_token_id;
  std::vector<std::int64_t> eos_token_ids;
  std::optional<DType> dtype;  ///< of the dense weights, where the configuration says so

  bool slides(std::int64_t layer) const;
};

/// Sampling defaults of generation_config.json.
struct GenerationConfig {
  bool do_sample = false;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<std::int64_t> top_k;
  std::optional<std::int64_t> bos_token_id;
  std::vector<std::int64_t> eos_token_ids;  ///< empty where the file says nothing
};

/// Reads a config.json as transformers 4 or 5 spells it. `origin` names the file in errors. Throws Error(unsupported)
/// for an unknown model_type and, by name, for a key that changes the arithmetic and is not understood;
/// Error(invalid_file) for what is not a configuration.
ModelConfig parse_config(std::string_view json, const std::string& origin);
GenerationConfig parse_generation_config(std::string_view json, const std::string& origin);

}  // namespace files
}  // namespace v0
}  // namespace nibble
