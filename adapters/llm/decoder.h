#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "adapters/files/config.h"
#include "adapters/llm/feed_forward.h"
#include "adapters/llm/kv_cache.h"
#include "adapters/llm/linear.h"
#include "adapters/llm/moe.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace llm {

struct Attention {
  Linear query, key, value, output;
  Tensor query_norm, key_norm;  ///< (head_dim,), Qwen3; else undefined
};

struct DecoderLayer {
  Tensor input_norm;
  Attention attention;
  Tensor post_attention_norm;
  std::variant<FeedForward, MixtureOfExperts> feed_forward;
};

/// The weights, as the loader has found them.
struct DecoderWeights {
  Tensor embedding;  ///< (vocabulary, hidden)
  std::vector<DecoderLayer> layers;
  Tensor norm;
  Linear head;
  bool tied_head = false;  ///< the head's weight is the embedding's
};

/// A decoder-only transformer (Touvron et al., 2023) on plain operations. Llama, Mistral, Qwen2 and Qwen3 are the same
/// model with other biases, head norms, attention windows and feed-forward networks, all of which are seen from the
/// configuration and the weights.
class DecoderModel {
 public:
  /// Computes in `dtype` whatever the dtypes of the weights.
  DecoderModel(files::ModelConfig config, DecoderWeights weights, DType dtype);

  const files::ModelConfig& config() const { return config_; }
  DType dtype() const { return dtype_; }
  /// Bytes that the weights take in storage; a tied head counts once.
  std::uint64_t weight_bytes() const;

  /// A cache for `batch` rows of up to `capacity` tokens each, stored in the computation's dtype unless `storage` names
  /// another or a packed format (KvCache).
  KvCache make_cache(std::int64_t batch, std::int64_t capacity, std::string_view storage = {}) const;

  /// Runs tokens (B, T) behind what the cache holds; gives the last hidden states, normalised: (B, T, hidden).
  /// Rows may be ragged: of row b the first `counts[b]` tokens count, the rest is padding on the right (none given: all
  /// T). Throws Error(out_of_range) where the cache is full.
  Tensor hidden(const Tensor& tokens, KvCache& cache, std::span<const std::int32_t> counts = {}) const;
  /// The same for tokens (B, T) that begin at `starts`, i32 (B,), in each row, whatever the cache is said to hold,
  /// which is not advanced: nothing here depends on how much that is, so that a step can be recorded
  /// (nibble/recording.h).
  Tensor hidden_from(const Tensor& starts, const Tensor& tokens, KvCache& cache) const;
  /// (…, hidden) → (…, vocabulary).
  Tensor logits(const Tensor& hidden) const { return weights_.head(hidden); }

  /// The device that all of it lies on; none where layers are spread.
  std::optional<Device> place() const;

  /// Every logit of a batch of plain token lists, (B, T, vocabulary), without a cache that outlives the call.
  Tensor logits_of(const Tensor& tokens) const;

  /// Runs prompts of any lengths in chunks of at most `chunk` tokens; gives the logits after each prompt's last token,
  /// (B, vocabulary): the head is computed on those rows only. `progress` is told the tokens done so far.
  using Progress = std::function<void(std::int64_t)>;
  Tensor prefill(std::span<const std::vector<std::int32_t>> prompts, KvCache& cache, std::int64_t chunk = 256,
                 const Progress& progress = {}) const;

 private:
  struct Step;  // what all layers of one call share
  /// Where a layer's weights lie, and so its share of every step.
  Device place_of(const DecoderLayer& layer) const { return layer.input_norm.device(); }
  Tensor run(const Tensor& starts, const Tensor& tokens, bool slides, KvCache& cache) const;
  Tensor attend(const DecoderLayer& layer, std::int64_t index, const Tensor& x, const Step& step, KvCache& cache) const;
  Tensor window_mask(const Tensor& starts, std::int64_t tokens, std::int64_t capacity) const;

  files::ModelConfig config_;
  DecoderWeights weights_;
  DType dtype_;
  RopeFrequencies frequencies_;
};

}  // namespace llm
}  // namespace v0
}  // namespace nibble
