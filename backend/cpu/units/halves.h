#pragma once

#include <cstdint>

// Conversions of 16-bit floats without branches, so that loops over them vectorise, and always inlined, so that no unit
// emits them.
namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

/// NaN becomes quiet, as the instruction makes it.
[[gnu::always_inline]] inline float widen_half(std::uint16_t h) {
  const std::uint32_t sign = (h & 0x8000u) << 16;
  // A half's exponent and fraction, moved to a float's place, are 2^112 too small: one exact product also makes
  // subnormals normal. What lands at 65536 was Inf, what lands above NaN.
  const float value = __builtin_bit_cast(float, static_cast<std::uint32_t>(h & 0x7fffu) << 13) * 0x1p112f;
  std::uint32_t bits = __builtin_bit_cast(std::uint32_t, value);
  bits |= bits > 0x47800000u ? 0x7fc00000u : bits == 0x47800000u ? 0x7f800000u : 0u;
  return __builtin_bit_cast(float, sign | bits);
}

/// Rounds to nearest even.
[[gnu::always_inline]] inline std::uint16_t narrow_to_half(float f) {
  const auto u = __builtin_bit_cast(std::uint32_t, f);
  const std::uint32_t sign = u >> 16 & 0x8000u, magnitude = u & 0x7fffffffu;
  const std::uint32_t normal = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  // Adding 0.5 aligns the last place of a subnormal half with the last of a float: the sum rounds to nearest even.
  const std::uint32_t subnormal =
      __builtin_bit_cast(std::uint32_t, __builtin_bit_cast(float, magnitude) + 0.5f) - 0x3f000000u;
  const std::uint32_t nan = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  std::uint32_t bits = magnitude < 0x38800000u ? subnormal : normal;
  bits = magnitude >= 0x47800000u ? 0x7c00u : bits;
  bits = magnitude > 0x7f800000u ? nan : bits;
  return static_cast<std::uint16_t>(sign | bits);
}

[[gnu::always_inline]] inline float widen_bfloat(std::uint16_t b) {
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(b) << 16);
}
/// Rounds to nearest even; a NaN stays one, which rounding could carry to Inf.
[[gnu::always_inline]] inline std::uint16_t narrow_to_bfloat(float f) {
  const auto u = __builtin_bit_cast(std::uint32_t, f);
  const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
  return static_cast<std::uint16_t>(nan ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
