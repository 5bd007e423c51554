#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "adapters/llm/decoder.h"
#include "adapters/llm/sampling.h"
#include "nibble/recording.h"

namespace nibble {
inline namespace v0 {
namespace llm {

struct GenerateOptions {
  SamplingOptions sampling;
  std::int64_t max_tokens = 256;
  std::set<std::int32_t> stop;  ///< the model's end tokens: generation ends before one of them
  std::int64_t vocabulary = 0;  ///< ids from here on only pad the head and are never chosen; 0: none do
  std::int64_t prefill_chunk = 256;
};

struct Generation {
  std::vector<std::int32_t> tokens;  ///< without the end token
  std::optional<std::int32_t> stopped_by;
  std::int64_t prompt_tokens = 0;
  std::int64_t decode_steps = 0;  ///< passes of one token
  double prefill_seconds = 0;
  double decode_seconds = 0;

  double prefill_tokens_per_s() const {
    return prefill_seconds > 0 ? static_cast<double>(prompt_tokens) / prefill_seconds : 0;
  }
  double decode_tokens_per_s() const {
    return decode_seconds > 0 ? static_cast<double>(decode_steps) / decode_seconds : 0;
  }
};

/// One conversation: a model and the cache that remembers what was said.
class Session {
 public:
  Session(const DecoderModel& model, std::int64_t capacity, std::string_view kv_storage = {});

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// What the cache holds, token by token.
  const std::vector<std::int32_t>& history() const { return history_; }
  std::int64_t capacity() const { return cache_.capacity(); }
  /// Forgets all but the first `length` tokens.
  void rewind(std::int64_t length);

  /// Adds the prompt to what was said, then generates until an end token, `max_tokens` or the end of the cache.
  /// `on_token` sees each token when it is chosen and returns whether to go on; `progress` the prompt tokens done.
  using OnToken = std::function<bool(std::int32_t)>;
  Generation generate(std::span<const std::int32_t> prompt, const GenerateOptions& options,
                      const OnToken& on_token = {}, const DecoderModel::Progress& progress = {});

 private:
  // The logits of the token that comes next, f32.
  Tensor prefill(std::span<const std::int32_t> tokens, std::int64_t chunk, const DecoderModel::Progress& progress);
  Tensor step(std::int32_t token);

  const DecoderModel& model_;
  KvCache cache_;
  std::vector<std::int32_t> history_;
  std::optional<Recording> step_;  // of one token more, on a device; made by the first after a prompt
};

/// Greedy continuations of several prompts at once, each equal to its own single run within the precision. For programs
/// that link nibble::llm; `nibble generate` takes one prompt.
std::vector<std::vector<std::int32_t>> generate_batch(const DecoderModel& model,
                                                      std::span<const std::vector<std::int32_t>> prompts,
                                                      std::int64_t max_tokens, const std::set<std::int32_t>& stop = {},
                                                      std::int64_t prefill_chunk = 256);

}  // namespace llm
}  // namespace v0
}  // namespace nibble
