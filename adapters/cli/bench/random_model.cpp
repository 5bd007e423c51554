#include "adapters/cli/bench/random_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "adapters/cli/bench/weights.h"
#include "nibble/error.h"

namespace nibble::cli {
namespace {

/// As the models' own config.json say.
struct ModelShape {
  const char* name;
  files::Architecture architecture;
  std::int64_t layers, hidden, intermediate, heads, kv_heads, head_dim, vocabulary;
  bool qk_norm, tied;
  double rope_theta;
};
constexpr auto kLlama = files::Architecture::llama;
constexpr auto kQwen3 = files::Architecture::qwen3;
constexpr ModelShape kShapes[] = {
    {"smollm2-135m", kLlama, 30, 576, 1536, 9, 3, 64, 49152, false, true, 1e5},
    {"qwen3-0.6b", kQwen3, 28, 1024, 3072, 16, 8, 128, 151936, true, true, 1e6},
    {"qwen3-8b", kQwen3, 36, 4096, 12288, 32, 8, 128, 151936, true, false, 1e6},
    {"llama-3.2-1b", kLlama, 16, 2048, 8192, 32, 8, 64, 128256, false, true, 5e5},
};

const ModelShape& find_shape(const std::string& name) {
  for (const ModelShape& shape : kShapes) {
    if (name == shape.name) return shape;
  }
  throw Error(ErrorCode::invalid_argument, fmt::format("--shape {}: there are {}", name, shape_names()));
}

files::ModelConfig config_of(const ModelShape& shape) {
  files::ModelConfig config;
  config.architecture = shape.architecture;
  config.num_hidden_layers = shape.layers;
  config.hidden_size = shape.hidden;
  config.intermediate_size = shape.intermediate;
  config.num_attention_heads = shape.heads;
  config.num_key_value_heads = shape.kv_heads;
  config.head_dim = shape.head_dim;
  config.vocab_size = shape.vocabulary;
  config.qk_norm = shape.qk_norm;
  config.tie_word_embeddings = shape.tied;
  config.rope_theta = shape.rope_theta;
  return config;
}

/// Draws one weight after the other.
class Weights {
 public:
  Weights(std::string format, DType dtype) : format_(std::move(format)), dtype_(dtype) {}
  Tensor matrix(std::int64_t out, std::int64_t in) {
    return select(random_weights(format_, 1, out, in, {.seed = ++seed_}), 0, 0);
  }
  llm::Linear linear(std::int64_t out, std::int64_t in) { return llm::Linear(matrix(out, in)); }
  Tensor norm(std::int64_t size) const { return ones({size}, dtype_); }

 private:
  std::string format_;
  DType dtype_;
  std::uint64_t seed_ = 0;
};

llm::DecoderLayer random_layer(const files::ModelConfig& c, Weights& draw) {
  const std::int64_t q = c.num_attention_heads * c.head_dim, kv = c.num_key_value_heads * c.head_dim;
  llm::DecoderLayer layer;
  layer.input_norm = draw.norm(c.hidden_size);
  layer.post_attention_norm = draw.norm(c.hidden_size);
  layer.attention.query = draw.linear(q, c.hidden_size);
  layer.attention.key = draw.linear(kv, c.hidden_size);
  layer.attention.value = draw.linear(kv, c.hidden_size);
  layer.attention.output = draw.linear(c.hidden_size, q);
  if (c.qk_norm) {
    layer.attention.query_norm = draw.norm(c.head_dim);
    layer.attention.key_norm = draw.norm(c.head_dim);
  }
  layer.feed_forward =
      llm::FeedForward{draw.linear(c.intermediate_size, c.hidden_size), draw.linear(c.intermediate_size, c.hidden_size),
                       draw.linear(c.hidden_size, c.intermediate_size), llm::find_activation(c.hidden_act)};
  return layer;
}

}  // namespace

std::string shape_names() {
  std::string names;
  for (const ModelShape& shape : kShapes) names += fmt::format("{}{}", names.empty() ? "" : ", ", shape.name);
  return names;
}

RandomModel random_model(const std::string& shape, const std::string& format, DType dtype) {
  const files::ModelConfig c = config_of(find_shape(shape));
  Weights draw(format, dtype);
  llm::DecoderWeights weights;
  weights.embedding = draw.matrix(c.vocab_size, c.hidden_size);
  for (std::int64_t i = 0; i < c.num_hidden_layers; ++i) weights.layers.push_back(random_layer(c, draw));
  weights.norm = draw.norm(c.hidden_size);
  weights.tied_head = c.tie_word_embeddings;
  weights.head = weights.tied_head ? llm::Linear(weights.embedding) : draw.linear(c.vocab_size, c.hidden_size);
  const std::uint64_t idle_bytes = weights.tied_head ? 0 : weights.embedding.nbytes();
  return {llm::DecoderModel(c, std::move(weights), dtype), idle_bytes};
}

}  // namespace nibble::cli
