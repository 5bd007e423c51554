#include "adapters/llm/loader.h"

#include <fmt/format.h>

#include <set>

#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace llm {
namespace {

/// Reads tensors by module path, checks them against the configuration and joins what the adapters say of them.
class ModuleReader {
 public:
  ModuleReader(const files::Checkpoint& checkpoint, const LoadOptions& options)
      : checkpoint_(checkpoint), options_(options), device_(options.device) {}

  /// Where what is read from now on goes.
  void place_on(Device device) { device_ = device; }

  Tensor tensor(const std::string& name, const Shape& expected) {
    read_.insert(name);
    Options reading = nibble::options();
    reading.device = Device::cpu();  // files are the host's
    const with in_force(reading);
    Tensor found = checkpoint_.get(name, options_.dtype);  // rows of the embedding come out in that dtype, unrounded
    if (found.shape() != expected) {
      throw Error(ErrorCode::invalid_file,
                  fmt::format("{}: {}: shape {} where the configuration says {}", checkpoint_.path().string(), name,
                              to_string(found.shape()), to_string(expected)));
    }
    return found.to(device_);
  }

  /// A small tensor that the arithmetic wants in the computation's dtype.
  Tensor vector(const std::string& name, std::int64_t size) { return cast(tensor(name, {size}), options_.dtype); }

  Linear linear(const std::string& path, std::int64_t in, std::int64_t out, bool bias) {
    Linear module(tensor(path + ".weight", {out, in}), bias ? vector(path + ".bias", out) : Tensor());
    join(path, module);
    return module;
  }

  Linear tied_linear(const std::string& path, const Tensor& weight) {
    Linear module(weight.to(device_));
    join(path, module);
    return module;
  }

  /// A layer's weight that nobody reads is part of another model than the configuration says.
  void require_all_read() const {
    for (const files::TensorInfo& tensor : checkpoint_.tensors()) {
      const bool derived = tensor.name.ends_with("rotary_emb.inv_freq");  // older transformers stored it
      if (!tensor.name.starts_with("model.layers.") || derived || read_.contains(tensor.name)) continue;
      throw Error(ErrorCode::invalid_file, fmt::format("{}: {}: the configuration's model has no such weight",
                                                       checkpoint_.path().string(), tensor.name));
    }
  }

  /// An adapter that changes something else than the model's linear layers would be left out without a word.
  void require_all_joined() const {
    for (const LoadedAdapter& loaded : options_.adapters) {
      for (const auto& [path, update] : loaded.adapter) {
        if (joined_.contains(path)) continue;
        throw Error(ErrorCode::invalid_argument, fmt::format("[lora] {}: {}: the model {} has no such linear layer",
                                                             loaded.name, path, checkpoint_.path().string()));
      }
    }
  }

 private:
  void join(const std::string& path, Linear& module) {
    joined_.insert(path);
    for (const LoadedAdapter& loaded : options_.adapters) {
      const auto found = loaded.adapter.find(path);
      if (found == loaded.adapter.end()) continue;
      const LoraWeights& update = found->second;
      try {
        module.add_update({cast(update.a.to(device_), options_.dtype), cast(update.b.to(device_), options_.dtype),
                           update.scale * loaded.multiplier});
      } catch (const Error& e) {
        throw Error(e.code(), fmt::format("{}: {}: {}", loaded.name, path, e.what()));
      }
    }
  }

  const files::Checkpoint& checkpoint_;
  const LoadOptions& options_;
  Device device_;
  std::set<std::string> read_, joined_;
};

Attention read_attention(ModuleReader& reader, const std::string& path, const files::ModelConfig& c) {
  const std::int64_t q_size = c.num_attention_heads * c.head_dim, kv_size = c.num_key_value_heads * c.head_dim;
  Attention attention;
  attention.query = reader.linear(path + ".q_proj", c.hidden_size, q_size, c.attention_bias);
  attention.key = reader.linear(path + ".k_proj", c.hidden_size, kv_size, c.attention_bias);
  attention.value = reader.linear(path + ".v_proj", c.hidden_size, kv_size, c.attention_bias);
  attention.output = reader.linear(path + ".o_proj", q_size, c.hidden_size, c.attention_output_bias);
  if (c.qk_norm) {
    attention.query_norm = reader.vector(path + ".q_norm.weight", c.head_dim);
    attention.key_norm = reader.vector(path + ".k_norm.weight", c.head_dim);
  }
  return attention;
}

FeedForward read_feed_forward(ModuleReader& reader, const std::string& path, const files::ModelConfig& c,
                              std::int64_t inner) {
  return {reader.linear(path + ".gate_proj", c.hidden_size, inner, c.mlp_bias),
          reader.linear(path + ".up_proj", c.hidden_size, inner, c.mlp_bias),
          reader.linear(path + ".down_proj", inner, c.hidden_size, c.mlp_bias), find_activation(c.hidden_act)};
}

MixtureOfExperts read_experts(ModuleReader& reader, const std::string& path, const files::ModelConfig& c) {
  const files::ExpertsConfig& e = *c.experts;
  const auto stack = [&](const char* name, std::int64_t in, std::int64_t out) {
    return swapaxes(reader.tensor(fmt::format("{}.switch_mlp.{}.weight", path, name), {e.count, out, in}), -1, -2);
  };
  MixtureOfExperts experts{.router = reader.linear(path + ".gate", c.hidden_size, e.count, false),
                           .gate = stack("gate_proj", c.hidden_size, e.intermediate_size),
                           .up = stack("up_proj", c.hidden_size, e.intermediate_size),
                           .down = stack("down_proj", e.intermediate_size, c.hidden_size),
                           .activation = find_activation(c.hidden_act),
                           .used = e.used,
                           .normalize = e.normalize,
                           .shared = {}};
  if (e.shared_intermediate_size > 0) {
    experts.shared = {reader.linear(path + ".shared_expert_gate", c.hidden_size, 1, false),
                      read_feed_forward(reader, path + ".shared_expert", c, e.shared_intermediate_size)};
  }
  return experts;
}

DecoderLayer read_layer(ModuleReader& reader, std::int64_t index, const files::ModelConfig& c) {
  const std::string path = fmt::format("model.layers.{}", index);
  DecoderLayer layer;
  layer.input_norm = reader.vector(path + ".input_layernorm.weight", c.hidden_size);
  layer.attention = read_attention(reader, path + ".self_attn", c);
  layer.post_attention_norm = reader.vector(path + ".post_attention_layernorm.weight", c.hidden_size);
  if (c.experts && c.experts->in_layer(index)) {
    layer.feed_forward = read_experts(reader, path + ".mlp", c);
  } else {
    layer.feed_forward = read_feed_forward(reader, path + ".mlp", c, c.intermediate_size);
  }
  return layer;
}

}  // namespace

DecoderModel load_decoder(const files::Checkpoint& checkpoint, const LoadOptions& options) {
  const files::ModelConfig& c = checkpoint.config();
  ModuleReader reader(checkpoint, options);
  std::vector<Device> places = options.layer_devices;
  if (places.empty()) places.assign(static_cast<std::size_t>(c.num_hidden_layers), options.device);
  if (std::ssize(places) != c.num_hidden_layers) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("[model] places for {} layers: the model {} has {}", places.size(),
                            checkpoint.path().string(), c.num_hidden_layers));
  }
  DecoderWeights weights;
  reader.place_on(places.front());
  weights.embedding = reader.tensor("model.embed_tokens.weight", {c.vocab_size, c.hidden_size});
  for (std::int64_t i = 0; i < c.num_hidden_layers; ++i) {
    reader.place_on(places[static_cast<std::size_t>(i)]);
    weights.layers.push_back(read_layer(reader, i, c));
    if (options.progress) options.progress(i + 1, c.num_hidden_layers);
  }
  weights.norm = reader.vector("model.norm.weight", c.hidden_size);
  weights.tied_head = c.tie_word_embeddings;
  weights.head = c.tie_word_embeddings ? reader.tied_linear("lm_head", weights.embedding)
                                       : reader.linear("lm_head", c.hidden_size, c.vocab_size, false);
  reader.require_all_read();
  reader.require_all_joined();
  return DecoderModel(c, std::move(weights), options.dtype);
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
