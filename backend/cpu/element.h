#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "nibble/dtype.h"

namespace nibble {
inline namespace v0 {
namespace detail {

// Conversions of 16-bit floats without branches, so that loops over them vectorise (those of dtype.h are calls).

inline float widen(float16 h) {
  const std::uint32_t sign = (h.bits & 0x8000u) << 16;
  // A half's exponent and fraction, moved to a float's place, are 2^112 too small: one exact product also makes
  // subnormals normal. What lands at 65536 or above was Inf or NaN.
  const float value = std::bit_cast<float>((h.bits & 0x7fffu) << 13) * 0x1p112f;
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  return std::bit_cast<float>(sign | (bits >= 0x47800000u ? bits | 0x7f800000u : bits));
}
inline float widen(bfloat16 h) { return static_cast<float>(h); }
inline float widen(float x) { return x; }

template <class T>
T narrow(float x);
template <>
inline float narrow<float>(float x) {
  return x;
}
template <>
inline bfloat16 narrow<bfloat16>(float x) {
  return bfloat16(x);
}
template <>
inline float16 narrow<float16>(float x) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = u >> 16 & 0x8000u;
  const std::uint32_t magnitude = u & 0x7fffffffu;
  const std::uint32_t normal = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  // Adding 0.5 aligns the last place of a subnormal half with the last of a float: the sum rounds to nearest even.
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  const std::uint32_t nan = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  std::uint32_t bits = magnitude < 0x38800000u ? subnormal : normal;
  bits = magnitude >= 0x47800000u ? 0x7c00u : bits;
  bits = magnitude > 0x7f800000u ? nan : bits;
  float16 h;
  h.bits = static_cast<std::uint16_t>(sign | bits);
  return h;
}

template <class T>
inline constexpr bool is_float_element =
    std::is_same_v<T, float> || std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>;

/// What arithmetic on elements of T is done in: f32 for every float, T for the rest.
template <class T>
using Arithmetic = std::conditional_t<is_float_element<T>, float, T>;

template <class T>
Arithmetic<T> load(const T& x) {
  if constexpr (is_float_element<T>) {
    return widen(x);
  } else {
    return x;
  }
}
template <class T>
void store(T& place, Arithmetic<T> x) {
  if constexpr (is_float_element<T>) {
    place = narrow<T>(x);
  } else {
    place = x;
  }
}

template <class... T>
struct TypeList {};
using FloatElements = TypeList<float, float16, bfloat16>;
using IntegerElements = TypeList<std::int8_t, std::uint8_t, std::int32_t, std::uint32_t, std::int64_t>;
/// What arithmetic takes (DType's documentation).
using ArithmeticElements =
    TypeList<float, float16, bfloat16, std::int8_t, std::uint8_t, std::int32_t, std::uint32_t, std::int64_t, bool>;

/// visit(T{}) with the list's type of that dtype; false if the list has none.
template <class... T, class Visit>
bool visit_dtype(TypeList<T...>, DType dtype, Visit&& visit) {
  return ((dtype_of<T> == dtype && (visit(T{}), true)) || ...);
}

/// x with wraparound instead of undefined overflow.
template <class T>
using Wrapping = std::conditional_t<(sizeof(T) < 4), std::uint32_t, std::make_unsigned_t<T>>;

}  // namespace detail
}  // namespace v0
}  // namespace nibble
