#pragma once

#include <cstdint>

namespace nibble {
inline namespace v0 {
namespace detail {

// Elementary functions without branches, so that loops over them vectorise. The errors stated are measured over all
// floats of the interval by tests/backend/math_test.cpp. They are static, and built of nothing with external linkage,
// because units of several instruction sets compile them.

/// eˣ, within 1 ulp (2 ulp where the result is subnormal). Range reduction x = n·ln 2 + r by a two-part ln 2 (Cody and
/// Waite, "Software Manual for the Elementary Functions", 1980), Taylor's series to r⁷ on |r| ≤ ln 2 / 2 (the rest is
/// below 2⁻²⁷), and a scaling in two steps so that results underflow gradually and overflow to Inf.
static inline float exp_f32(float x) {
  constexpr float kRound = 0x1.8p23f;  // adding it leaves the nearest integer in the low bits
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  const float shifted = x * 0x1.715476p+0f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;
  float p = 0x1.a01a02p-13f;
  p = p * r + 0x1.6c16c2p-10f;
  p = p * r + 0x1.111112p-7f;
  p = p * r + 0x1.555556p-5f;
  p = p * r + 0x1.555556p-3f;
  p = p * r + 0.5f;
  p = 1.0f + (r + r * r * p);
  // The biased halves of n; a NaN's garbage is multiplied with the NaN in p.
  const auto steps =
      static_cast<std::int32_t>(__builtin_bit_cast(std::uint32_t, shifted) - __builtin_bit_cast(std::uint32_t, kRound));
  const std::int32_t half = steps >> 1;
  const float scale_a = __builtin_bit_cast(float, static_cast<std::uint32_t>(half + 127) << 23);
  const float scale_b = __builtin_bit_cast(float, static_cast<std::uint32_t>(steps - half + 127) << 23);
  return p * scale_a * scale_b;
}

/// 1 / (1 + e⁻ˣ), with full relative precision in both tails.
static inline float sigmoid_f32(float x) {
  const float e = exp_f32(-__builtin_fabsf(x));
  return (x < 0 ? e : 1.0f) / (1.0f + e);
}

static inline float silu_f32(float x) { return x * sigmoid_f32(x); }

/// x·Φ(x) by tanh: ½(1 + tanh u) is the sigmoid of 2u (Hendrycks and Gimpel, 2016).
static inline float gelu_tanh_f32(float x) {
  const float u = 0x1.988454p-1f * (x + 0.044715f * x * x * x);
  return x * sigmoid_f32(2.0f * u);
}

/// x·Φ(x) by erfc, with full relative precision in the negative tail: for t = 1/(1 + |x|/4), ½·erfcx(|x|/√2)/t is
/// nearly a polynomial (interpolated in Chebyshev's points of t in [4/19, 1], that is |x| ≤ 15, with relative error
/// 2⁻²⁹), and Φ(−|x|) = ½·erfcx(|x|/√2)·e^(−x²/2), where x² is taken in two parts, the larger exact.
static inline float gelu_f32(float x) {
  const float a = __builtin_fabsf(x);
  const float t = 1.0f / (1.0f + 0.25f * a);
  const float s = t * 0x1.444444p+1f - 0x1.888888p+0f;
  float p = -0x1.233f06p-20f;
  p = p * s + 0x1.efb858p-19f;
  p = p * s + 0x1.3be1b2p-16f;
  p = p * s - 0x1.a351acp-15f;
  p = p * s - 0x1.5f68eap-12f;
  p = p * s + 0x1.191b4ap-13f;
  p = p * s + 0x1.a0fc6ap-8f;
  p = p * s + 0x1.e3a4d8p-6f;
  p = p * s + 0x1.4ce476p-4f;
  p = p * s + 0x1.42918ep-3f;
  p = p * s + 0x1.cdf82p-3f;
  const float upper = __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, a) & 0xfffff000u);
  const float tail = p * t * exp_f32(-0.5f * upper * upper) * exp_f32(-0.5f * (a - upper) * (a + upper));
  // Beyond 15 both exponentials are 0 to the last place, but Inf·0 and Inf − Inf must not get through.
  return a > 15.0f ? (x > 0 ? x : -0.0f) : x * (x < 0 ? tail : 1.0f - tail);
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
