#include "adapters/llm/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_set>

#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace llm {
namespace {

void require(bool holds, const char* rule) {
  if (!holds) throw Error(ErrorCode::invalid_argument, std::string("[sampling] ") + rule);
}

void penalise(std::vector<float>& logits, std::span<const std::int32_t> seen, double penalty) {
  const std::unordered_set<std::int32_t> distinct(seen.begin(), seen.end());
  for (const std::int32_t id : distinct) {
    if (id < 0 || static_cast<std::size_t>(id) >= logits.size()) continue;
    float& logit = logits[static_cast<std::size_t>(id)];
    logit = static_cast<float>(logit > 0 ? logit / penalty : logit * penalty);
  }
}

}  // namespace

std::int32_t greedy(std::span<const float> logits) {
  // The value first, in lanes that the compiler turns into vectors; a NaN is never larger.
  float lanes[16];
  std::fill(std::begin(lanes), std::end(lanes), -std::numeric_limits<float>::infinity());
  std::size_t i = 0;
  for (; i + std::size(lanes) <= logits.size(); i += std::size(lanes)) {
    for (std::size_t l = 0; l < std::size(lanes); ++l) lanes[l] = logits[i + l] > lanes[l] ? logits[i + l] : lanes[l];
  }
  for (; i < logits.size(); ++i) lanes[0] = logits[i] > lanes[0] ? logits[i] : lanes[0];
  const float most = *std::max_element(std::begin(lanes), std::end(lanes));
  const auto best = std::find(logits.begin(), logits.end(), most);
  return best == logits.end() ? 0 : static_cast<std::int32_t>(best - logits.begin());
}

Sampler::Sampler(const SamplingOptions& options) : options_(options), engine_(options.seed) {
  require(options.temperature >= 0 && std::isfinite(options.temperature), "temperature must be 0 or more");
  require(options.top_k >= 0, "top-k must be 0 or more");
  require(options.top_p > 0 && options.top_p <= 1, "top-p must be above 0 and at most 1");
  require(options.min_p >= 0 && options.min_p <= 1, "min-p must be from 0 to 1");
  require(options.repetition_penalty > 0 && std::isfinite(options.repetition_penalty),
          "repetition-penalty must be above 0");
}

std::int32_t Sampler::operator()(std::span<const float> logits, std::span<const std::int32_t> seen) {
  require(!logits.empty(), "there are no logits to choose from");
  std::vector<float> own;
  if (options_.repetition_penalty != 1) {
    own.assign(logits.begin(), logits.end());
    penalise(own, seen, options_.repetition_penalty);
    logits = own;
  }
  if (options_.temperature == 0) return greedy(logits);

  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i])) continue;
    candidates.push_back({static_cast<std::int32_t>(i), logits[i] / options_.temperature});
  }
  require(!candidates.empty(), "every logit is NaN");
  return draw(std::move(candidates));
}

std::int32_t Sampler::draw(std::vector<Candidate> candidates) {
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  const std::size_t keep =
      options_.top_k == 0 ? candidates.size() : std::min(candidates.size(), static_cast<std::size_t>(options_.top_k));
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(keep), candidates.end(),
                    likelier);
  candidates.resize(keep);

  // Weights relative to the likeliest, so that min-p reads off them directly.
  std::vector<double> weights(candidates.size());
  double total = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    weights[i] = candidates[i].logit == candidates[0].logit ? 1 : std::exp(candidates[i].logit - candidates[0].logit);
    total += weights[i];
  }
  std::size_t kept = 0;
  double mass = 0;
  while (kept < weights.size() && mass < options_.top_p * total) mass += weights[kept++];
  while (kept > 1 && weights[kept - 1] < options_.min_p) --kept;

  mass = 0;
  for (std::size_t i = 0; i < kept; ++i) mass += weights[i];
  double point = static_cast<double>(engine_() >> 11) * 0x1p-53 * mass;
  for (std::size_t i = 0; i + 1 < kept; ++i) {
    if (point < weights[i]) return candidates[i].id;
    point -= weights[i];
  }
  return candidates[kept - 1].id;
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
