#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "nibble/io.h"
#include "nibble/ops.h"

namespace nibble {
namespace {

class Float8 : public ::testing::TestWithParam<std::pair<const char*, DType>> {
 protected:
  DType dtype() const { return GetParam().second; }
  Tensor golden(const char* part) const {
    static const TensorMap all = load_safetensors(NIBBLE_SOURCE_DIR "/tests/goldens/float8.safetensors").tensors;
    return all.at(std::string(GetParam().first) + part);
  }
  /// u8 codes as the floats they are.
  Tensor coded(const Tensor& codes) const { return from_data(codes.raw_data(), codes.shape(), dtype()); }
};

/// The same numbers, signs of zeros included; one NaN is as good as another.
void expect_same(const Tensor& got, const Tensor& wanted, const Tensor& of) {
  const auto a = cast(got, DType::f32).to_vector<float>(), b = cast(wanted, DType::f32).to_vector<float>();
  const auto from = cast(of, DType::f32).to_vector<float>();
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool same = a[i] == b[i] && std::signbit(a[i]) == std::signbit(b[i]);
    EXPECT_TRUE(same || (std::isnan(a[i]) && std::isnan(b[i]))) << from[i] << ": " << a[i] << ", not " << b[i];
  }
}

TEST_P(Float8, EveryCodeHasItsValue) {
  const Tensor codes = golden(".codes");
  expect_same(coded(codes), golden(".values"), codes);
}

TEST_P(Float8, FloatsRoundToTheNearest) {
  const Tensor x = golden(".x"), wanted = coded(golden(".rounded"));
  expect_same(cast(x, dtype()), wanted, x);
  expect_same(cast(cast(x, DType::f64), dtype()), wanted, x);
  // Doubles that lie just past a middle, and which rounding to a float first would put onto it.
  const auto floats = x.to_vector<float>();
  std::vector<double> past(floats.begin(), floats.end());
  for (double& value : past) value *= 1 + 1e-12;
  const auto got = cast(cast(from_data(past.data(), x.shape(), DType::f64), dtype()), DType::f32).to_vector<float>();
  const auto even = cast(wanted, DType::f32).to_vector<float>();
  int up = 0;
  for (std::size_t i = 0; i < got.size(); ++i) up += std::abs(got[i]) > std::abs(even[i]);
  EXPECT_GE(up, 120) << "half of the middles, of either sign";
}

INSTANTIATE_TEST_SUITE_P(Kinds, Float8,
                         ::testing::Values(std::pair{"e4m3", DType::f8_e4m3}, std::pair{"e5m2", DType::f8_e5m2}),
                         [](const auto& info) { return std::string(info.param.first); });

}  // namespace
}  // namespace nibble
