#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "backend/cpu/units/halves.h"
#include "nibble/dtype.h"

namespace nibble {
inline namespace v0 {
namespace detail {

inline float widen(float16 h) { return cpu::widen_half(h.bits); }
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
  float16 h;
  h.bits = cpu::narrow_to_half(x);
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

/// visit(Word{}) with the unsigned integer of as many bytes as an element has.
template <class Visit>
auto with_word(DType dtype, Visit&& visit) {
  switch (itemsize(dtype)) {
    case 1: return visit(std::uint8_t{});
    case 2: return visit(std::uint16_t{});
    case 4: return visit(std::uint32_t{});
    default: return visit(std::uint64_t{});
  }
}

/// x with wraparound instead of undefined overflow.
template <class T>
using Wrapping = std::conditional_t<(sizeof(T) < 4), std::uint32_t, std::make_unsigned_t<T>>;

}  // namespace detail
}  // namespace v0
}  // namespace nibble
