#pragma once

#include <cstdint>
#include <limits>

#include "backend/cpu/element.h"
#include "quant_tensor/tensor/cached.h"

namespace nibble {
inline namespace v0 {
namespace detail {

// Sums and extremes of a row of floats. Each keeps several independent lanes, which the compiler turns into vectors:
// it may not reorder a plain loop's sum.
inline constexpr std::int64_t kLanes = 16;

/// In double precision.
template <class Term>
double sum_of(std::int64_t n, Term&& term) {
  double lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::int64_t l = 0; l < kLanes; ++l) lanes[l] += static_cast<double>(term(i + l));
  }
  for (; i < n; ++i) lanes[i % kLanes] += static_cast<double>(term(i));
  for (std::int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::int64_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

/// The largest of sign·x, times sign: the maximum for 1, the minimum for −1. A NaN wins; −sign·∞ where n is 0.
template <int sign>
float extreme_of(const float* x, std::int64_t n) {
  const auto wins = [](float a, float b) { return sign > 0 ? (a > b) | (a != a) : (a < b) | (a != a); };
  float lanes[kLanes];
  for (float& lane : lanes) lane = -sign * std::numeric_limits<float>::infinity();
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::int64_t l = 0; l < kLanes; ++l) lanes[l] = wins(x[i + l], lanes[l]) ? x[i + l] : lanes[l];
  }
  for (; i < n; ++i) lanes[0] = wins(x[i], lanes[0]) ? x[i] : lanes[0];
  float best = lanes[0];
  for (const float lane : lanes) best = wins(lane, best) ? lane : best;
  return best;
}

/// n elements from `stride` apart as floats: themselves if they are floats side by side, else converted to `scratch`.
template <class T>
const float* as_floats(const T* x, std::int64_t stride, std::int64_t n, CachedVector<float>& scratch) {
  if constexpr (std::is_same_v<T, float>) {
    if (stride == 1) return x;
  }
  scratch.resize(static_cast<std::size_t>(n));
  float* __restrict out = scratch.data();
  if (stride == 1) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = widen(x[i]);
  } else {
    for (std::int64_t i = 0; i < n; ++i) out[i] = widen(x[i * stride]);
  }
  return out;
}

/// Memory that a thread uses again and again.
template <int which = 0>
CachedVector<float>& scratch_floats() {
  thread_local CachedVector<float> scratch;
  return scratch;
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
