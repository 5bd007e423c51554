#include "adapters/llm/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "nibble/error.h"

namespace nibble {
namespace {

using llm::Sampler;
using llm::SamplingOptions;

/// ln of these: the softmax of the logits is the probabilities themselves.
std::vector<float> logits_of(std::initializer_list<double> probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

std::map<std::int32_t, double> frequencies(SamplingOptions options, const std::vector<float>& logits,
                                           std::vector<std::int32_t> seen = {}) {
  constexpr int kDraws = 20000;
  Sampler sampler(options);
  std::map<std::int32_t, double> counts;
  for (int i = 0; i < kDraws; ++i) counts[sampler(logits, seen)] += 1.0 / kDraws;
  return counts;
}

TEST(Sampling, GreedyTakesTheFirstLargest) {
  EXPECT_EQ(llm::greedy(std::vector<float>{1, 3, 2, 3}), 1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(llm::greedy(std::vector<float>{nan, -1, nan, -2}), 1);
  Sampler sampler({});
  EXPECT_EQ(sampler(std::vector<float>{0, 5, 1}, {}), 1);
}

TEST(Sampling, DrawsFollowTheDistribution) {
  const auto seen = frequencies({.temperature = 1}, logits_of({0.5, 0.3, 0.15, 0.05}));
  EXPECT_NEAR(seen.at(0), 0.5, 0.02);
  EXPECT_NEAR(seen.at(1), 0.3, 0.02);
  EXPECT_NEAR(seen.at(2), 0.15, 0.02);
  EXPECT_NEAR(seen.at(3), 0.05, 0.01);
}

TEST(Sampling, TemperatureSharpens) {
  // p^(1/T) normalised: at T = 0.5, 0.25 : 0.09 : ... of 0.365.
  const auto seen = frequencies({.temperature = 0.5}, logits_of({0.5, 0.3, 0.15, 0.05}));
  EXPECT_NEAR(seen.at(0), 0.25 / 0.365, 0.02);
  EXPECT_NEAR(seen.at(1), 0.09 / 0.365, 0.02);
}

TEST(Sampling, TopKKeepsTheLikeliest) {
  const auto seen = frequencies({.temperature = 1, .top_k = 2}, logits_of({0.05, 0.3, 0.15, 0.5}));
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_NEAR(seen.at(3), 0.5 / 0.8, 0.02);
  EXPECT_NEAR(seen.at(1), 0.3 / 0.8, 0.02);
  EXPECT_EQ(frequencies({.temperature = 1, .top_k = 100}, logits_of({0.5, 0.5})).size(), 2u);
}

TEST(Sampling, TopPKeepsWhatReachesP) {
  EXPECT_EQ(frequencies({.temperature = 1, .top_p = 0.79}, logits_of({0.5, 0.3, 0.15, 0.05})).size(), 2u);
  EXPECT_EQ(frequencies({.temperature = 1, .top_p = 0.82}, logits_of({0.5, 0.3, 0.15, 0.05})).size(), 3u);
  EXPECT_EQ(frequencies({.temperature = 1, .top_p = 1e-9}, logits_of({0.5, 0.3, 0.2})).size(), 1u);
}

TEST(Sampling, MinPKeepsWhatIsNearTheLikeliest) {
  EXPECT_EQ(frequencies({.temperature = 1, .min_p = 0.29}, logits_of({0.5, 0.3, 0.15, 0.05})).size(), 3u);
  EXPECT_EQ(frequencies({.temperature = 1, .min_p = 0.31}, logits_of({0.5, 0.3, 0.15, 0.05})).size(), 2u);
  EXPECT_EQ(frequencies({.temperature = 1, .min_p = 1}, logits_of({0.5, 0.3, 0.2})).size(), 1u);
}

TEST(Sampling, RepetitionPenaltyDividesAndMultiplies) {
  Sampler sampler({.repetition_penalty = 2});
  const std::vector<std::int32_t> seen{0, 0, 3};
  EXPECT_EQ(sampler(std::vector<float>{4, 1.9F, 1.8F, -1}, seen), 0);  // 4/2 is 2, once however often it was seen
  EXPECT_EQ(sampler(std::vector<float>{3.7F, 1.9F, 1.8F, -1}, seen), 1);
  EXPECT_EQ(sampler(std::vector<float>{-9, -1.9F, -3, -1}, seen), 1);  // -1 becomes -2
}

TEST(Sampling, ASeedDrawsTheSameEverywhere) {
  const std::vector<float> logits = logits_of({0.25, 0.25, 0.25, 0.25});
  std::vector<std::int32_t> drawn;
  Sampler sampler({.temperature = 1, .seed = 42});
  for (int i = 0; i < 8; ++i) drawn.push_back(sampler(logits, {}));
  // The leading two bits of std::mt19937_64(42): 13930160852258120406, 11788048577503494824, ...
  std::mt19937_64 engine(42);
  for (const std::int32_t id : drawn) EXPECT_EQ(id, static_cast<std::int32_t>(engine() >> 62));
  EXPECT_EQ(std::mt19937_64(42)(), 13930160852258120406u);
  Sampler other({.temperature = 1, .seed = 43});
  std::vector<std::int32_t> others;
  for (int i = 0; i < 8; ++i) others.push_back(other(logits, {}));
  EXPECT_NE(drawn, others);
}

TEST(Sampling, NonFiniteLogitsNeverWin) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const auto seen = frequencies({.temperature = 1}, {nan, 1, -inf, 1});
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_EQ(frequencies({.temperature = 1}, {1, inf, 1}).size(), 1u);
  Sampler sampler({.temperature = 1});
  EXPECT_THROW(sampler(std::vector<float>{nan, nan}, {}), Error);
}

TEST(Sampling, OptionsOutsideTheirDomainAreRefused) {
  for (const SamplingOptions& bad :
       {SamplingOptions{.temperature = -1}, SamplingOptions{.temperature = NAN}, SamplingOptions{.top_k = -1},
        SamplingOptions{.top_p = 0}, SamplingOptions{.top_p = 1.1}, SamplingOptions{.min_p = -0.1},
        SamplingOptions{.min_p = 2}, SamplingOptions{.repetition_penalty = 0}}) {
    EXPECT_THROW(Sampler{bad}, Error);
  }
}

}  // namespace
}  // namespace nibble
