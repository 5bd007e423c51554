// Dtypes: names, promotion, and both 16-bit floats converted at every bit pattern and every rounding boundary.
#include "nibble/dtype.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <string>

namespace nibble_test {
namespace {

namespace nb = nibble;
using nb::DType;

std::vector<DType> all_dtypes() {
  std::vector<DType> all;
  for (int i = 0; i < nb::kDTypeCount; ++i) all.push_back(static_cast<DType>(i));
  return all;
}

TEST(DType, IsReadByEveryNameAndNoOther) {
  for (const DType d : all_dtypes()) EXPECT_EQ(nb::parse_dtype(nb::name(d)), d) << nb::name(d);
  EXPECT_EQ(nb::parse_dtype("float32"), DType::f32);
  EXPECT_EQ(nb::parse_dtype("bfloat16"), DType::bf16);
  EXPECT_EQ(nb::parse_dtype("float8_e4m3fn"), DType::f8_e4m3);
  EXPECT_EQ(nb::parse_dtype("uint64"), DType::u64);
  for (const char* wrong : {"", "f", "F32", "float", "f32 ", "float128"}) EXPECT_FALSE(nb::parse_dtype(wrong)) << wrong;
}

TEST(DType, HasTheSizeOfItsCppType) {
  EXPECT_EQ(nb::itemsize(nb::dtype_of<float>), sizeof(float));
  EXPECT_EQ(nb::itemsize(nb::dtype_of<nb::float16>), sizeof(nb::float16));
  EXPECT_EQ(nb::itemsize(nb::dtype_of<nb::bfloat16>), sizeof(nb::bfloat16));
  EXPECT_EQ(nb::itemsize(nb::dtype_of<double>), sizeof(double));
  EXPECT_EQ(nb::itemsize(nb::dtype_of<bool>), sizeof(bool));
  EXPECT_EQ(nb::itemsize(nb::dtype_of<std::int64_t>), 8u);
  EXPECT_EQ(nb::itemsize(nb::dtype_of<std::uint16_t>), 2u);
  EXPECT_EQ(nb::itemsize(DType::f8_e4m3), 1u);
}

constexpr std::array kIntegers = {DType::i8,  DType::u8,  DType::i16, DType::u16,
                                  DType::i32, DType::u32, DType::i64, DType::u64};
/// numpy.promote_types, but that u64 with a signed integer is f32 here and f64 there: f64 is for storage.
constexpr DType kIntegerTable[8][8] = {
    {DType::i8, DType::i16, DType::i16, DType::i32, DType::i32, DType::i64, DType::i64, DType::f32},
    {DType::i16, DType::u8, DType::i16, DType::u16, DType::i32, DType::u32, DType::i64, DType::u64},
    {DType::i16, DType::i16, DType::i16, DType::i32, DType::i32, DType::i64, DType::i64, DType::f32},
    {DType::i32, DType::u16, DType::i32, DType::u16, DType::i32, DType::u32, DType::i64, DType::u64},
    {DType::i32, DType::i32, DType::i32, DType::i32, DType::i32, DType::i64, DType::i64, DType::f32},
    {DType::i64, DType::u32, DType::i64, DType::u32, DType::i64, DType::u32, DType::i64, DType::u64},
    {DType::i64, DType::i64, DType::i64, DType::i64, DType::i64, DType::i64, DType::i64, DType::f32},
    {DType::f32, DType::u64, DType::f32, DType::u64, DType::f32, DType::u64, DType::f32, DType::u64},
};

TEST(Promotion, OfIntegersIsNumPys) {
  for (std::size_t i = 0; i < kIntegers.size(); ++i) {
    for (std::size_t j = 0; j < kIntegers.size(); ++j) {
      EXPECT_EQ(nb::promote(kIntegers[i], kIntegers[j]), kIntegerTable[i][j])
          << nb::name(kIntegers[i]) << ' ' << nb::name(kIntegers[j]);
    }
  }
}

TEST(Promotion, OfFloatsNeverLosesPlaces) {
  EXPECT_EQ(nb::promote(DType::f16, DType::bf16), DType::f32);
  EXPECT_EQ(nb::promote(DType::f16, DType::f32), DType::f32);
  EXPECT_EQ(nb::promote(DType::bf16, DType::f32), DType::f32);
  EXPECT_EQ(nb::promote(DType::f8_e4m3, DType::f8_e5m2), DType::f32);
  for (const DType d : all_dtypes()) EXPECT_EQ(nb::promote(d, DType::f64), DType::f64) << nb::name(d);
}

TEST(Promotion, PutsFloatsOverIntegersOverBooleansAndIgnoresTheOrder) {
  for (const DType a : all_dtypes()) {
    EXPECT_EQ(nb::promote(a, a), a);
    EXPECT_EQ(nb::promote(a, DType::boolean), a) << nb::name(a);
    for (const DType b : all_dtypes()) {
      EXPECT_EQ(nb::promote(a, b), nb::promote(b, a)) << nb::name(a) << ' ' << nb::name(b);
      if (nb::is_floating(a) && !nb::is_floating(b)) {
        EXPECT_EQ(nb::promote(a, b), a) << nb::name(a) << ' ' << nb::name(b);
      }
    }
  }
}

/// A 16-bit float as IEEE 754 defines one of `exponent_bits`, in fp64.
double value_of(std::uint16_t bits, int exponent_bits) {
  const int fraction_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1), fraction = bits & ((1 << fraction_bits) - 1);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  }
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

template <class Half>
Half half_of(std::uint16_t bits) {
  Half half;
  half.bits = bits;
  return half;
}

template <class Half, int ExponentBits>
void expect_exact_values() {
  for (unsigned bits = 0; bits <= 0xffff; ++bits) {
    const auto half = half_of<Half>(static_cast<std::uint16_t>(bits));
    const double expected = value_of(half.bits, ExponentBits);
    const auto got = static_cast<float>(half);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(got)) << bits;
      const Half again(got);
      ASSERT_TRUE(std::isnan(static_cast<float>(again))) << bits;
      ASSERT_EQ(again.bits & 0x8000, half.bits & 0x8000) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(got), expected) << bits;
    ASSERT_EQ(std::signbit(got), std::signbit(expected)) << bits;
    ASSERT_EQ(Half(got).bits, bits);
  }
}

/// Between each half and the next: a float just below the middle goes down, just above it goes up, and the middle
/// itself to the even one. The step after the largest finite number leads to infinity.
template <class Half, int ExponentBits>
void expect_nearest_even() {
  const auto infinity = static_cast<std::uint16_t>(((1 << ExponentBits) - 1) << (15 - ExponentBits));
  for (std::uint16_t low = 0; low < infinity; ++low) {
    const auto high = static_cast<std::uint16_t>(low + 1);
    const double below = value_of(low, ExponentBits);
    // Infinity takes the place of the number that would follow the largest.
    const double above = high == infinity
                             ? below + (below - value_of(static_cast<std::uint16_t>(low - 1), ExponentBits))
                             : value_of(high, ExponentBits);
    const auto middle = static_cast<float>((below + above) / 2);
    ASSERT_EQ(static_cast<double>(middle), (below + above) / 2) << low;
    for (const std::uint16_t sign : {0, 0x8000}) {
      const float s = sign ? -1.f : 1.f;
      ASSERT_EQ(Half(s * middle).bits, sign | (low % 2 == 0 ? low : high)) << low;
      ASSERT_EQ(Half(s * std::nextafter(middle, 0.f)).bits, sign | low) << low;
      ASSERT_EQ(Half(s * std::nextafter(middle, std::numeric_limits<float>::infinity())).bits, sign | high) << low;
    }
  }
  for (const float far : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::max()}) {
    EXPECT_EQ(Half(far).bits, infinity);
    EXPECT_EQ(Half(-far).bits, infinity | 0x8000);
  }
}

TEST(Float16, HasTheValueOfItsBits) { expect_exact_values<nb::float16, 5>(); }
TEST(Float16, RoundsToNearestEven) { expect_nearest_even<nb::float16, 5>(); }
TEST(Float16, UnderflowsToAZeroOfTheSameSign) {
  EXPECT_EQ(nb::float16(1e-30f).bits, 0);
  EXPECT_EQ(nb::float16(-1e-30f).bits, 0x8000);
  EXPECT_EQ(nb::float16(std::numeric_limits<float>::denorm_min()).bits, 0);
}
TEST(BFloat16, HasTheValueOfItsBits) { expect_exact_values<nb::bfloat16, 8>(); }
TEST(BFloat16, RoundsToNearestEven) { expect_nearest_even<nb::bfloat16, 8>(); }
TEST(BFloat16, KeepsANanWhoseFractionLiesBelowIt) {
  const auto nan = std::bit_cast<float>(0x7f800001u);  // cut off or rounded, it would be infinity
  EXPECT_TRUE(std::isnan(static_cast<float>(nb::bfloat16(nan))));
}

}  // namespace
}  // namespace nibble_test
