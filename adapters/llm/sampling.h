#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace nibble {
inline namespace v0 {
namespace llm {

/// How the next token is chosen. The steps apply in this order, as transformers has them: repetition penalty,
/// temperature, top-k, top-p, min-p.
struct SamplingOptions {
  double temperature = 0;         ///< 0 is greedy
  std::int64_t top_k = 0;         ///< only the k likeliest; 0: all
  double top_p = 1;               ///< only the likeliest that together reach p (Holtzman et al., 2020)
  double min_p = 0;               ///< only those at least min_p times as likely as the likeliest (Nguyen et al., 2024)
  double repetition_penalty = 1;  ///< logits of tokens seen before: divided if positive, else multiplied (Keskar, 2019)
  std::uint64_t seed = 0;         ///< the same seed draws the same tokens on every platform
};

/// Chooses tokens, one after the other.
class Sampler {
 public:
  /// Throws Error(invalid_argument) for an option outside its domain.
  explicit Sampler(const SamplingOptions& options);

  /// The next token after logits (vocabulary,), `seen` being the prompt and what was generated so far. Ties go to the
  /// lowest id.
  std::int32_t operator()(std::span<const float> logits, std::span<const std::int32_t> seen);

 private:
  struct Candidate {
    std::int32_t id;
    double logit;
  };
  std::int32_t draw(std::vector<Candidate> candidates);

  SamplingOptions options_;
  std::mt19937_64 engine_;  // whose numbers the C++ standard fixes, unlike those of its distributions
};

/// The first index of the largest; NaN never wins.
std::int32_t greedy(std::span<const float> logits);

}  // namespace llm
}  // namespace v0
}  // namespace nibble
