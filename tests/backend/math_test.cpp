#include "backend/cpu/math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "backend/cpu/element.h"
#include "tests/backend/kernel_units.h"

namespace nibble::detail {
namespace {

/// |got − want| in units of the last place of a float of want's size.
double ulps(float got, double want) {
  if (std::isnan(want)) return std::isnan(got) ? 0 : 1e30;
  const auto nearest = static_cast<float>(want);
  if (std::isinf(nearest) || std::isinf(got)) return got == nearest ? 0 : 1e30;
  int exponent = 0;
  std::frexp(want, &exponent);
  return std::fabs(static_cast<double>(got) - want) / std::ldexp(1.0, std::max(exponent - 24, -149));
}

/// The worst error over floats of every exponent and both signs, a step apart that shares no factor with their bits.
template <class Function, class Reference>
double worst(Function&& function, Reference&& reference, float limit) {
  double most = 0;
  for (std::uint64_t bits = 0; bits <= 0xffffffffu; bits += 4099) {
    const float x = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    if (!(std::fabs(x) <= limit)) continue;
    most = std::max(most, ulps(function(x), reference(static_cast<double>(x))));
  }
  return most;
}

double sigmoid(double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }

TEST(CpuMath, ExpIsWithinAnUlp) {
  EXPECT_LT(worst(
                exp_f32, [](double x) { return std::exp(x); }, 200.0f),
            1.01);
}
TEST(CpuMath, SigmoidAndSiluAreWithinThreeUlps) {
  EXPECT_LT(worst(sigmoid_f32, sigmoid, 200.0f), 3);
  EXPECT_LT(worst(
                silu_f32, [](double x) { return x * sigmoid(x); }, 87.0f),
            3.5);
  EXPECT_NEAR(silu_f32(-100.0f), -100 * std::exp(-100.0), 1e-43);  // of a subnormal factor
}
TEST(CpuMath, GeluKeepsItsRelativePrecision) {
  const auto gelu = [](double x) { return 0.5 * x * std::erfc(-x * std::sqrt(0.5)); };
  EXPECT_LT(worst(gelu_f32, gelu, 12.5f), 8);
  EXPECT_NEAR(gelu_f32(-13.5f), gelu(-13.5), 1e-43);
  const auto by_tanh = [](double x) {
    const double u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
    return x * sigmoid(2 * u);
  };
  EXPECT_LT(worst(gelu_tanh_f32, by_tanh, 4.0f), 40);  // e^u magnifies u's rounding by |u|
}

TEST(CpuMath, ExtremeArguments) {
  constexpr float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(exp_f32(inf), inf);
  EXPECT_EQ(exp_f32(-inf), 0.0f);
  EXPECT_EQ(exp_f32(0.0f), 1.0f);
  EXPECT_EQ(exp_f32(89.0f), inf);
  EXPECT_GT(exp_f32(-103.0f), 0.0f);  // subnormal, not flushed
  EXPECT_EQ(sigmoid_f32(inf), 1.0f);
  EXPECT_EQ(sigmoid_f32(-inf), 0.0f);
  EXPECT_EQ(gelu_f32(inf), inf);
  EXPECT_EQ(gelu_f32(-inf), 0.0f);
  EXPECT_EQ(silu_f32(inf), inf);
  for (auto* f : {exp_f32, sigmoid_f32, silu_f32, gelu_f32, gelu_tanh_f32}) EXPECT_TRUE(std::isnan(f(nan)));
}

/// n floats through a unit's function are those of math.h, to the bit: vectors and what is left of them.
TEST(CpuMath, UnitsGiveTheSameBits) {
  using Functions = cpu::FloatFunctions;
  constexpr std::tuple<Functions::Of Functions::*, float (*)(float)> kFunctions[] = {
      {&Functions::exp, exp_f32},
      {&Functions::sigmoid, sigmoid_f32},
      {&Functions::silu, silu_f32},
      {&Functions::gelu, gelu_f32},
      {&Functions::gelu_tanh, gelu_tanh_f32}};
  std::vector<float> x;
  for (std::uint64_t bits = 0; bits <= 0xffffffffu; bits += 40993) {
    x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  }
  for (const auto& unit : nibble_test::units_under_test()) {
    for (const auto& [of, plain] : kFunctions) {
      std::vector<float> y(x.size() + 1, 1.5f);
      (unit.unit->functions.*of)(x.data(), static_cast<std::int64_t>(x.size()), y.data());
      for (std::size_t i = 0; i < x.size(); ++i) {
        const float want = plain(x[i]);
        if (std::isnan(want)) {
          ASSERT_TRUE(std::isnan(y[i])) << unit.name << ' ' << x[i];
        } else {
          ASSERT_EQ(std::bit_cast<std::uint32_t>(y[i]), std::bit_cast<std::uint32_t>(want)) << unit.name << ' ' << x[i];
        }
      }
      ASSERT_EQ(y.back(), 1.5f) << unit.name;
    }
  }
}

TEST(CpuElement, HalvesWidenAndNarrowAsTheTypeDoes) {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    float16 h;
    h.bits = static_cast<std::uint16_t>(bits);
    const float a = widen(h), b = static_cast<float>(h);
    const std::uint32_t quiet = std::isnan(b) ? 0x400000 : 0;  // as processors' instructions make it
    ASSERT_EQ(std::bit_cast<std::uint32_t>(a), std::bit_cast<std::uint32_t>(b) | quiet) << bits;
    ASSERT_EQ(narrow<float16>(a).bits, float16(b).bits) << bits;
  }
  for (std::uint64_t bits = 0; bits <= 0xffffffffu; bits += 1021) {
    const float x = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    ASSERT_EQ(narrow<float16>(x).bits, float16(x).bits) << x;
  }
}

}  // namespace
}  // namespace nibble::detail
