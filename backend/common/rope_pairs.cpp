#include "backend/common/rope_pairs.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

/// YaRN (Peng et al., 2023): high frequencies stay, low ones are divided by the factor, with a ramp between the pairs
/// that turn beta_fast and beta_slow times within the original length.
double yarn_keep(std::int64_t pair, std::int64_t dims, double theta, const RopeScaling& s) {
  const auto pair_of_turns = [&](double turns) {
    const double length = static_cast<double>(s.original_max_position_embeddings);
    return static_cast<double>(dims) * std::log(length / (turns * 2 * std::numbers::pi)) / (2 * std::log(theta));
  };
  double low = pair_of_turns(s.beta_fast), high = pair_of_turns(s.beta_slow);
  if (s.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dims - 1));
  if (low == high) high += 0.001;
  return 1.0 - std::clamp((static_cast<double>(pair) - low) / (high - low), 0.0, 1.0);
}

/// By wavelength, as Llama 3.1: long waves are divided by the factor, short ones stay, those between are blended.
double llama3_keep(double inverse, const RopeScaling& s) {
  const double length = static_cast<double>(s.original_max_position_embeddings);
  const double wavelength = 2 * std::numbers::pi / inverse;
  if (wavelength > length / s.low_freq_factor) return 0;
  if (wavelength < length / s.high_freq_factor) return 1;
  return (length / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
}

double yarn_attention_factor(const RopeScaling& s) {
  if (s.attention_factor) return *s.attention_factor;
  const auto of = [&](double mscale) { return s.factor <= 1 ? 1.0 : 0.1 * mscale * std::log(s.factor) + 1.0; };
  const bool both = s.mscale && s.mscale_all_dim && *s.mscale != 0 && *s.mscale_all_dim != 0;
  return both ? of(*s.mscale) / of(*s.mscale_all_dim) : of(1);
}

/// How much of a frequency is not divided by the factor.
double keep(std::int64_t pair, std::int64_t dims, double theta, double plain, const RopeScaling& scaling) {
  switch (scaling.type) {
    case RopeScaling::Type::none: break;
    case RopeScaling::Type::linear: return 0;
    case RopeScaling::Type::llama3: return llama3_keep(plain, scaling);
    case RopeScaling::Type::yarn: return yarn_keep(pair, dims, theta, scaling);
  }
  return 1;
}

}  // namespace

std::vector<RopePair> rope_pairs(std::int64_t dims, double theta, const RopeScaling& scaling) {
  std::vector<RopePair> pairs;
  for (std::int64_t i = 0; i < dims / 2; ++i) {
    const double plain = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(dims));
    const double kept = keep(i, dims, theta, plain, scaling);
    const double frequency = kept * plain + (1 - kept) * plain / scaling.factor;
    pairs.push_back({1 / (kept + (1 - kept) / scaling.factor), static_cast<float>(frequency)});
  }
  return pairs;
}

float rope_scale(const RopeScaling& scaling) {
  return scaling.type == RopeScaling::Type::yarn ? static_cast<float>(yarn_attention_factor(scaling)) : 1;
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
