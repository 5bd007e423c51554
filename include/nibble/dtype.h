#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "nibble/export.h"

namespace nibble {
inline namespace v0 {

/// Element types. All of them can be loaded, cast and saved; arithmetic takes f32, f16, bf16, i8, u8, i32,
/// u32, i64 and boolean. Floating sums are accumulated in f32 whatever the dtype.
enum class DType : std::uint8_t {
  // clang-format off
  f32, f16, bf16, f64,
  i8, u8, i16, u16, i32, u32, i64, u64,
  boolean,
  // clang-format on
  f8_e4m3,  ///< OCP FP8 E4M3 (finite only, NaN 0x7f); storage only
  f8_e5m2,  ///< OCP FP8 E5M2; storage only
};
inline constexpr int kDTypeCount = 15;

/// Bytes of one element.
NIBBLE_API std::size_t itemsize(DType dtype) noexcept;
/// "f32", "bf16", "i64", "bool", ...
NIBBLE_API std::string_view name(DType dtype) noexcept;
/// The dtype of that name, also as NumPy and PyTorch spell it ("float32", "bfloat16", "int64").
NIBBLE_API std::optional<DType> parse_dtype(std::string_view text) noexcept;
/// f32, f16, bf16, f64 and the 8-bit floats.
NIBBLE_API bool is_floating(DType dtype) noexcept;
/// f32, f16 and bf16, the floats that arithmetic takes; packed weights and their scales are of these.
constexpr bool is_arithmetic_float(DType dtype) noexcept {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}
/// The dtypes that arithmetic takes, boolean among them; the rest are for storage and must be cast.
constexpr bool is_arithmetic(DType dtype) noexcept {
  return is_arithmetic_float(dtype) || dtype == DType::i8 || dtype == DType::u8 || dtype == DType::i32 ||
         dtype == DType::u32 || dtype == DType::i64 || dtype == DType::boolean;
}
/// The dtype that both convert to: the wider of two of a kind; a float over an integer; bf16 with f16 is f32.
NIBBLE_API DType promote(DType a, DType b);

/// IEEE 754 binary16 as storage; converts to and from float, rounding to nearest even.
struct float16 {
  std::uint16_t bits = 0;
  float16() = default;
  NIBBLE_API explicit float16(float value) noexcept;
  NIBBLE_API explicit operator float() const noexcept;
};

/// The upper half of a binary32; converts to and from float, rounding to nearest even.
struct bfloat16 {
  std::uint16_t bits = 0;
  bfloat16() = default;
  explicit bfloat16(float value) noexcept {
    const auto u = std::bit_cast<std::uint32_t>(value);
    const bool is_nan = (u & 0x7fffffffu) > 0x7f800000u;  // keep a NaN a NaN: rounding could carry it to Inf
    bits = static_cast<std::uint16_t>(is_nan ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  explicit operator float() const noexcept { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};

/// The DType of a C++ type: dtype_of<float> == DType::f32.
template <class T>
struct DTypeOf;
// clang-format off
template <> struct DTypeOf<float> { static constexpr DType value = DType::f32; };
template <> struct DTypeOf<float16> { static constexpr DType value = DType::f16; };
template <> struct DTypeOf<bfloat16> { static constexpr DType value = DType::bf16; };
template <> struct DTypeOf<double> { static constexpr DType value = DType::f64; };
template <> struct DTypeOf<std::int8_t> { static constexpr DType value = DType::i8; };
template <> struct DTypeOf<std::uint8_t> { static constexpr DType value = DType::u8; };
template <> struct DTypeOf<std::int16_t> { static constexpr DType value = DType::i16; };
template <> struct DTypeOf<std::uint16_t> { static constexpr DType value = DType::u16; };
template <> struct DTypeOf<std::int32_t> { static constexpr DType value = DType::i32; };
template <> struct DTypeOf<std::uint32_t> { static constexpr DType value = DType::u32; };
template <> struct DTypeOf<std::int64_t> { static constexpr DType value = DType::i64; };
template <> struct DTypeOf<std::uint64_t> { static constexpr DType value = DType::u64; };
template <> struct DTypeOf<bool> { static constexpr DType value = DType::boolean; };
// clang-format on
template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

}  // namespace v0
}  // namespace nibble
