#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "nibble/dtype.h"

/// OCP 8-bit floats (OFP8, revision 1.0), storage only: values pass through f32. What is past the largest
/// becomes an infinity or NaN, which cannot pass unseen.
namespace nibble {
inline namespace v0 {
namespace detail {

struct E4M3 {
  std::uint8_t bits;
};
struct E5M2 {
  std::uint8_t bits;
};

inline float value_of(E4M3 x) {
  const int magnitude = x.bits & 0x7f;
  const float sign = x.bits & 0x80 ? -1.0f : 1.0f;
  if (magnitude == 0x7f) return std::numeric_limits<float>::quiet_NaN();
  const int exponent = magnitude >> 3, fraction = magnitude & 7;
  return sign * (exponent == 0 ? std::ldexp(static_cast<float>(fraction), -9)
                               : std::ldexp(static_cast<float>(8 + fraction), exponent - 10));
}
inline float value_of(E5M2 x) {
  float16 h;
  h.bits = static_cast<std::uint16_t>(x.bits << 8);  // a half with a short fraction
  return widen(h);
}

/// The nearest of the 256 values, ties to an even code: |values| rise with the code, so a binary search finds it.
template <class T>
T nearest(float x, int largest, int nan) {
  const std::uint8_t sign = std::signbit(x) ? 0x80 : 0;
  const auto coded = [sign](int code) { return T{static_cast<std::uint8_t>(code | sign)}; };
  if (std::isnan(x)) return coded(nan);
  const float a = std::fabs(x);
  int low = 0, high = largest;
  while (high - low > 1) {
    const int mid = (low + high) / 2;
    (value_of(T{static_cast<std::uint8_t>(mid)}) <= a ? low : high) = mid;
  }
  const float below = a - value_of(T{static_cast<std::uint8_t>(low)});
  const float above = value_of(T{static_cast<std::uint8_t>(high)}) - a;
  return coded(below < above || (below == above && low % 2 == 0) ? low : high);
}
inline E4M3 encode(float x, E4M3) {
  const E4M3 code = nearest<E4M3>(x, 0x7e, 0x7f);
  return std::fabs(x) > 464 ? E4M3{static_cast<std::uint8_t>((code.bits & 0x80) | 0x7f)}
                            : code;  // nearer to 480, which is NaN
}
inline E5M2 encode(float x, E5M2) {
  const E5M2 code = nearest<E5M2>(x, 0x7b, 0x7e);
  return std::fabs(x) >= 61440 ? E5M2{static_cast<std::uint8_t>((code.bits & 0x80) | 0x7c)} : code;  // to ±Inf
}

template <class T>
inline constexpr bool is_fp8 = std::is_same_v<T, E4M3> || std::is_same_v<T, E5M2>;

}  // namespace detail
}  // namespace v0
}  // namespace nibble
