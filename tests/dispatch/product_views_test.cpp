// Products of views: whatever strides an operand has, the numbers are those of its contiguous copy, held to fp64.
#include <gtest/gtest.h>

#include <cmath>

#include "nibble/error.h"
#include "nibble/ops.h"

namespace nibble_test {
namespace {

namespace nb = nibble;
using nb::Shape;
using nb::Tensor;

/// x (…, K) · w (K, N) in fp64, rows in row-major order.
std::vector<double> oracle(const Tensor& x, const Tensor& w) {
  const std::vector<float> xs = x.to_vector<float>(), ws = w.to_vector<float>();
  const std::int64_t k = w.size(0), n = w.size(1);
  std::vector<double> out;
  for (std::size_t row = 0; row + static_cast<std::size_t>(k) <= xs.size(); row += static_cast<std::size_t>(k)) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::int64_t i = 0; i < k; ++i)
        sum += double{xs[row + static_cast<std::size_t>(i)]} * double{ws[static_cast<std::size_t>(i * n + j)]};
      out.push_back(sum);
    }
  }
  return out;
}

void expect_near(const Tensor& y, const std::vector<double>& expected) {
  const std::vector<float> got = y.to_vector<float>();
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 1e-4) << "element " << i;
}

/// Views of f32 numbers whose last axis has 32 of them.
std::vector<std::pair<std::string, Tensor>> views() {
  const Tensor x = nb::random_normal({4, 3, 10, 32}, 1);
  const Tensor one = nb::random_normal({4, 1, 10, 32}, 2);
  const Tensor row = nb::random_normal({1, 10, 32}, 3);
  return {
      {"contiguous", x},
      {"fewer rows", nb::slice(x, 2, 0, 5)},
      // The stride of an axis of size 1 says nothing of where rows lie.
      {"fewer rows behind an axis of one", nb::slice(one, 2, 0, 5)},
      {"an axis of one, expanded", nb::expand_dims(nb::slice(row, 1, 2, 7), 0)},
      {"an axis of one before many rows", nb::expand_dims(nb::slice(nb::random_normal({4, 10, 32}, 4), 1, 0, 5), 1)},
      {"last row of each", nb::slice(x, 2, 9, 10)},
      {"every other row", nb::slice(x, 2, 0, 10, 2)},
      {"rows backwards", nb::flip(x, {2})},
      {"axes swapped", nb::swapaxes(x, 1, 2)},
      {"one matrix for all", nb::broadcast_to(row, {4, 3, 10, 32})},
      {"one row for all", nb::broadcast_to(nb::slice(row, 1, 0, 1), {4, 3, 10, 32})},
      {"columns turned", nb::swapaxes(nb::random_normal({4, 32, 10}, 5), 1, 2)},
      {"no rows", nb::slice(x, 2, 0, 0)},
  };
}

TEST(ProductOfViews, GivesTheNumbersOfTheirCopies) {
  const Tensor dense = nb::random_normal({32, 7}, 6);
  const Tensor packed = nb::transpose(nb::quantize(nb::random_normal({7, 32}, 7), {.bits = 4, .group_size = 32}));
  nb::Options exact = nb::options();
  exact.precision = nb::Precision::exact;
  for (const auto& [name, x] : views()) {
    SCOPED_TRACE(name);
    Shape shape = x.shape();
    shape[shape.rank() - 1] = 7;
    for (const Tensor& w : {dense, packed}) {
      SCOPED_TRACE(nb::describe(w));
      const Tensor y = nb::matmul(x, w, exact);
      EXPECT_EQ(y.shape(), shape);
      expect_near(y, oracle(x, w));
    }
  }
}

TEST(ProductOfViews, WeightsMayHaveAxesOfOne) {
  const Tensor x = nb::random_normal({2, 5, 32}, 8), w = nb::random_normal({1, 32, 7}, 9);
  expect_near(nb::matmul(x, w), oracle(x, nb::squeeze(w)));
  const Tensor sliced = nb::slice(nb::random_normal({1, 64, 7}, 10), 1, 16, 48);
  expect_near(nb::matmul(x, sliced), oracle(x, nb::squeeze(sliced)));
}

TEST(Axes, AreRefusedWhenTheyDoNotFitAnInt) {
  const std::int64_t far = std::int64_t{1} << 32;  // 0 once cut to 32 bits
  const Tensor a = nb::zeros({2, 3}), b = nb::zeros({2, 5});
  EXPECT_THROW(nb::dot(a, {far}, {}, b, {0}, {}), nb::Error);
  EXPECT_THROW(nb::sum(a, {far}), nb::Error);
  EXPECT_THROW(nb::transpose(a, {far, 1}), nb::Error);
}

TEST(Shapes, WhoseProductOverflowsAreRefused) {
  const std::int64_t half = std::int64_t{1} << 32;  // 2^32 · 2^32 is 0 modulo 2^64
  EXPECT_THROW(nb::reshape(nb::zeros({0}), {half, half}), nb::Error);
  EXPECT_THROW(nb::reshape(nb::zeros({0}), {-1, half, half}), nb::Error);
  EXPECT_THROW(nb::reshape(nb::zeros({0}), {0, half, half}), nb::Error);
  EXPECT_THROW(nb::broadcast_to(nb::zeros({1}), {-1}), nb::Error);
  EXPECT_THROW(nb::zeros({half, half}), nb::Error);
  EXPECT_THROW(nb::add(nb::broadcast_to(nb::zeros({1}), {half, half}), 1), nb::Error);
}

TEST(TakeOfPacked, NamesTheIndexThatIsOutOfRange) {
  const Tensor table = nb::quantize(nb::random_normal({100, 64}, 11));
  try {
    nb::take(table, nb::tensor<int>({3, 70000}, {2})).to_vector<float>();  // a device says so when it is read
    FAIL() << "no Error";
  } catch (const nb::Error& error) {
    EXPECT_EQ(error.code(), nb::ErrorCode::out_of_range);
    EXPECT_NE(std::string(error.what()).find("index 70000"), std::string::npos) << error.what();
  }
  const Tensor rows = nb::take(table, nb::tensor<int>({-1, 0, -100}, {3}));
  const std::vector<float> all = nb::dequantize(table).to_vector<float>(), got = rows.to_vector<float>();
  EXPECT_TRUE(std::equal(got.begin(), got.begin() + 64, all.end() - 64));
  EXPECT_TRUE(std::equal(got.begin() + 64, got.begin() + 128, all.begin()));
  EXPECT_TRUE(std::equal(got.begin() + 128, got.end(), all.begin()));
}

}  // namespace
}  // namespace nibble_test
