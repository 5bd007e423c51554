#include "nibble/dtype.h"

#include <array>

#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace {

enum class Kind : std::uint8_t { boolean, integer, floating };

struct Row {
  std::string_view name;
  std::string_view long_name;  ///< as NumPy and PyTorch spell it
  std::uint8_t bytes;
  Kind kind;
};

constexpr std::array<Row, kDTypeCount> kRows = {{
    {"f32", "float32", 4, Kind::floating},
    {"f16", "float16", 2, Kind::floating},
    {"bf16", "bfloat16", 2, Kind::floating},
    {"f64", "float64", 8, Kind::floating},
    {"i8", "int8", 1, Kind::integer},
    {"u8", "uint8", 1, Kind::integer},
    {"i16", "int16", 2, Kind::integer},
    {"u16", "uint16", 2, Kind::integer},
    {"i32", "int32", 4, Kind::integer},
    {"u32", "uint32", 4, Kind::integer},
    {"i64", "int64", 8, Kind::integer},
    {"u64", "uint64", 8, Kind::integer},
    {"bool", "bool", 1, Kind::boolean},
    {"f8_e4m3", "float8_e4m3fn", 1, Kind::floating},
    {"f8_e5m2", "float8_e5m2", 1, Kind::floating},
}};

const Row& row(DType dtype) { return kRows[static_cast<std::size_t>(dtype)]; }

bool is_signed(DType dtype) {
  return dtype == DType::i8 || dtype == DType::i16 || dtype == DType::i32 || dtype == DType::i64;
}

DType signed_of_bytes(int bytes) {
  switch (bytes) {
    case 1: return DType::i8;
    case 2: return DType::i16;
    case 4: return DType::i32;
    default: return DType::i64;
  }
}

DType promote_floating(DType a, DType b) {
  if (a == DType::f64 || b == DType::f64) return DType::f64;
  // 16-bit floats of different kinds, and 8-bit floats with anything, have only f32 above them both.
  return DType::f32;
}

DType promote_integers(DType a, DType b) {
  if (is_signed(a) == is_signed(b)) return itemsize(a) >= itemsize(b) ? a : b;
  const DType s = is_signed(a) ? a : b;
  const DType u = is_signed(a) ? b : a;
  if (itemsize(s) > itemsize(u)) return s;
  if (u == DType::u64) return DType::f32;  // no integer holds both, as in the array API: left to floats
  return signed_of_bytes(static_cast<int>(itemsize(u)) * 2);
}

}  // namespace

std::size_t itemsize(DType dtype) noexcept { return row(dtype).bytes; }
std::string_view name(DType dtype) noexcept { return row(dtype).name; }
bool is_floating(DType dtype) noexcept { return row(dtype).kind == Kind::floating; }

std::optional<DType> parse_dtype(std::string_view text) noexcept {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (text == kRows[i].name || text == kRows[i].long_name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

DType promote(DType a, DType b) {
  if (a == b) return a;
  const Kind ka = row(a).kind, kb = row(b).kind;
  if (ka != kb) return ka > kb ? a : b;
  return ka == Kind::floating ? promote_floating(a, b) : promote_integers(a, b);
}

float16::float16(float value) noexcept {
  const auto u = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(u >> 16 & 0x8000u);
  const std::uint32_t magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {  // NaN: keep the upper payload, quiet
    bits = static_cast<std::uint16_t>(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
  } else if (magnitude >= 0x47800000u) {  // 65536 and more
    bits = static_cast<std::uint16_t>(sign | 0x7c00u);
  } else if (magnitude >= 0x38800000u) {  // normal: rebias, round to even; the carry may reach the exponent, even Inf
    const std::uint32_t rebiased = magnitude - (112u << 23);
    bits = static_cast<std::uint16_t>(sign | ((rebiased + 0xfffu + (rebiased >> 13 & 1u)) >> 13));
  } else {
    // Subnormal: adding 0.5 aligns the last binary16 place (2⁻²⁴) with the last of a float, and the FPU rounds.
    const float aligned = std::bit_cast<float>(magnitude) + 0.5f;
    bits = static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(aligned) - 0x3f000000u));
  }
}

float16::operator float() const noexcept {
  const std::uint32_t sign = (bits & 0x8000u) << 16;
  const std::uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  if (magnitude >= 0x0400u) return std::bit_cast<float>(sign | ((magnitude << 13) + (112u << 23)));
  const float value = static_cast<float>(magnitude) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
}

}  // namespace v0
}  // namespace nibble
