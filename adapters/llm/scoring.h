#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "adapters/llm/decoder.h"

namespace nibble {
inline namespace v0 {
namespace llm {

/// How well a model foretells a text. Sums are in fp64.
struct Score {
  std::int64_t tokens = 0;  ///< scored: every token of a window but its first
  double negative_log_likelihood = 0;
  double divergence = 0;         ///< Σ KL(reference ‖ model) over the scored tokens, where there is a reference
  std::int64_t same_choice = 0;  ///< scored tokens at which both models think the same token likeliest

  double mean_nll() const { return negative_log_likelihood / static_cast<double>(tokens); }
  double perplexity() const;
  double mean_divergence() const { return divergence / static_cast<double>(tokens); }
  double agreement() const { return static_cast<double>(same_choice) / static_cast<double>(tokens); }
  Score& operator+=(const Score& other);
};

struct ScoreOptions {
  std::int64_t context = 0;  ///< a longer text is cut in windows of so many tokens, each scored alone; 0: the model's
  std::int64_t chunk = 128;  ///< tokens a pass
  std::string kv_storage = {};              ///< of the cache; empty: the computation's dtype
  const DecoderModel* reference = nullptr;  ///< with the same vocabulary
};

/// Scores one text. `progress` is told the tokens done so far.
Score score(const DecoderModel& model, std::span<const std::int32_t> tokens, const ScoreOptions& options = {},
            const DecoderModel::Progress& progress = {});

/// Every row of logits of one text, chunk by chunk: `visit(first, rows, logits)`, logits (rows, vocabulary) in
/// row-major order.
using VisitLogits = std::function<void(std::int64_t first, std::int64_t rows, std::span<const float> logits)>;
void for_each_logits(const DecoderModel& model, std::span<const std::int32_t> tokens, std::int64_t chunk,
                     std::string_view kv_storage, const VisitLogits& visit);

}  // namespace llm
}  // namespace v0
}  // namespace nibble
