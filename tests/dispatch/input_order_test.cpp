// Packed rows that are stored in another order than that of their axis (GPTQ's desc_act): every operation gives what it
// gives for the weight that they stand for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "nibble/error.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"
#include "tests/support/precision_bound.h"

namespace nb = nibble;
using nb::Shape;
using nb::Tensor;
using testing::HasSubstr;

namespace {

constexpr std::int64_t kRows = 24, kLength = 512;

std::vector<float> values(const Tensor& t) { return nb::dequantize(t, nb::DType::f32).to_vector<float>(); }

Tensor some_order(std::int64_t length, std::uint32_t seed) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(length));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  return nb::from_data<std::int32_t>(order, {length});
}

/// A weight whose rows are stored reordered, and the dense values that they stand for.
struct Weight {
  Tensor packed, dense;
};
Weight weight_of(const std::string& format, const Shape& shape) {
  const Tensor order = some_order(shape.back(), 5), inverse = nb::argsort(order);
  const Tensor stored = nb::quantize(nb::take(nb::random_normal(shape, 6), order, -1), {.format = format});
  nb::Components components = nb::packing_of(stored).components;
  components.emplace_back(nb::kInputOrder, order);
  return {nb::from_components(format, components, shape), nb::take(nb::dequantize(stored), inverse, -1)};
}

/// Of what is drawn from a normal distribution, in sums of k products.
void expect_close(const Tensor& got, const Tensor& expected, std::int64_t k) {
  ASSERT_EQ(got.shape(), expected.shape());
  const std::vector<float> a = values(got), b = values(expected);
  const double most = 2 * nibble_test::bound(nb::options().precision) * static_cast<double>(k);
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], most) << "element " << i;
}

void expect_same(const Tensor& got, const Tensor& expected) {
  EXPECT_EQ(got.shape(), expected.shape());
  EXPECT_TRUE(values(got) == values(expected)) << nb::describe(got);
}

nb::Options packed_only(nb::Precision precision) {
  nb::Options options = nb::options();
  options.precision = precision;
  options.fallback = nb::Fallback::error;
  return options;
}

class InputOrder : public testing::TestWithParam<const char*> {
 protected:
  Weight weight(const Shape& shape) const { return weight_of(GetParam(), shape); }
};

TEST_P(InputOrder, StandsForItsValuesInEveryView) {
  const auto [w, dense] = weight({kRows, kLength});
  EXPECT_THAT(nb::describe(w), HasSubstr(" reordered"));
  expect_same(w, dense);
  EXPECT_TRUE(w.to_vector<float>() == dense.to_vector<float>());
  EXPECT_TRUE(nb::transpose(w).to_vector<float>() == nb::transpose(dense).to_vector<float>());
  expect_same(nb::transpose(w), nb::transpose(dense));
  expect_same(nb::slice(w, 0, 3, 20, 2), nb::slice(dense, 0, 3, 20, 2));
  expect_same(nb::slice(w, 1, 256, 512), nb::slice(dense, 1, 256, 512));
  expect_same(nb::slice(w, 1, 0, kLength), dense);
  expect_same(nb::flip(w), nb::flip(dense));
  expect_same(nb::select(w, 0, -1), nb::select(dense, 0, -1));
  expect_same(nb::select(w, 1, 7), nb::select(dense, 1, 7));
  expect_same(nb::reshape(w, {4, 6, kLength}), nb::reshape(dense, {4, 6, kLength}));
  expect_same(nb::reshape(w, {2, -1}), nb::reshape(dense, {2, -1}));
  expect_same(nb::broadcast_to(w, {2, kRows, kLength}), nb::broadcast_to(dense, {2, kRows, kLength}));
  expect_same(nb::expand_dims(w, 0), nb::expand_dims(dense, 0));
  const Tensor both[] = {w, dense};
  expect_same(nb::concatenate(both, 0), nb::concatenate(std::vector{dense, dense}, 0));
  expect_same(nb::add(w, dense), nb::add(dense, dense));
  expect_same(nb::split(w, 2, 1)[1], nb::split(dense, 2, 1)[1]);
}

TEST_P(InputOrder, ProductsAlongItsRowsPermuteWhatMeetsThem) {
  const auto [w, dense] = weight({kRows, kLength});
  for (const nb::Precision precision : {nb::Precision::exact, nb::Precision::standard, nb::Precision::fast}) {
    const nb::with scope(packed_only(precision));
    for (const std::int64_t rows : {1, 3, 40}) {
      const Tensor x = nb::random_normal({rows, kLength}, 7);
      expect_close(nb::matmul(x, nb::transpose(w)), nb::matmul(x, nb::transpose(dense)), kLength);
      expect_close(nb::matmul(w, nb::transpose(x)), nb::matmul(dense, nb::transpose(x)), kLength);
    }
    const Tensor x = nb::random_normal({2, 3, kLength}, 8), row = nb::select(nb::select(x, 0, 0), 0, 0);
    const Tensor turned = nb::transpose(w), like = nb::transpose(dense);
    expect_close(nb::matmul(x, turned), nb::matmul(x, like), kLength);
    expect_close(nb::matmul(nb::swapaxes(nb::random_normal({kLength, 5}, 9), 0, 1), turned),
                 nb::matmul(nb::swapaxes(nb::random_normal({kLength, 5}, 9), 0, 1), like), kLength);
    expect_close(nb::matmul(row, turned), nb::matmul(row, like), kLength);
    expect_close(nb::dot(x, {2}, {}, w, {1}, {}), nb::dot(x, {2}, {}, dense, {1}, {}), kLength);
    expect_close(nb::einsum("bmk,nk->bnm", std::vector{x, w}), nb::einsum("bmk,nk->bnm", std::vector{x, dense}),
                 kLength);
  }
}

TEST_P(InputOrder, ProductsAcrossItsRowsComeInTheOrderOfTheAxis) {
  const auto [w, dense] = weight({kRows, kLength});
  for (const nb::Precision precision : {nb::Precision::exact, nb::Precision::standard}) {
    const nb::with scope(packed_only(precision));
    for (const std::int64_t rows : {1, 5, 40}) {
      const Tensor g = nb::random_normal({rows, kRows}, 9);
      expect_close(nb::matmul(g, w), nb::matmul(g, dense), kRows);
      expect_close(nb::matmul(nb::transpose(w), nb::transpose(g)), nb::matmul(nb::transpose(dense), nb::transpose(g)),
                   kRows);
    }
    const Tensor g = nb::random_normal({2, 3, kRows}, 10);
    expect_close(nb::matmul(g, w), nb::matmul(g, dense), kRows);
  }
}

TEST_P(InputOrder, MatricesOfABatchAndExperts) {
  const auto [w, dense] = weight({4, kRows, kLength});
  const Tensor x = nb::random_normal({4, 3, kLength}, 11), g = nb::random_normal({4, 3, kRows}, 12);
  const Tensor experts = nb::tensor<std::int32_t>({2, 0, 2, 3}, {4});
  const Tensor along = nb::swapaxes(w, 1, 2), like = nb::swapaxes(dense, 1, 2);
  const nb::with scope(packed_only(nb::Precision::standard));
  expect_close(nb::matmul(x, along), nb::matmul(x, like), kLength);
  expect_close(nb::matmul(g, w), nb::matmul(g, dense), kRows);
  expect_close(nb::gather_matmul(x, along, experts), nb::gather_matmul(x, like, experts), kLength);
  expect_close(nb::gather_matmul(g, w, experts), nb::gather_matmul(g, dense, experts), kRows);
  expect_close(nb::matmul(nb::select(x, 0, 1), nb::select(along, 0, 1)),
               nb::matmul(nb::select(x, 0, 1), nb::select(like, 0, 1)), kLength);
}

TEST_P(InputOrder, RowsAreTakenInTheOrderOfTheAxis) {
  const auto [w, dense] = weight({kRows, kLength});
  const Tensor rows = nb::tensor<std::int32_t>({3, -1, 3, 0, 17, 20}, {2, 3});
  {
    const nb::with scope(packed_only(nb::Precision::standard));
    expect_same(nb::take(w, rows, 0), nb::take(dense, rows, 0));
    expect_same(nb::take(nb::transpose(w), rows, 1), nb::take(nb::transpose(dense), rows, 1));
  }
  expect_same(nb::take(w, rows, 1), nb::take(dense, rows, 1));
  expect_same(nb::take_along_axis(w, nb::zeros({kRows, 1}, nb::DType::i32), 1),
              nb::take_along_axis(dense, nb::zeros({kRows, 1}, nb::DType::i32), 1));
}

TEST_P(InputOrder, ItsComponentsMakeItAgain) {
  const auto [w, dense] = weight({kRows, kLength});
  const nb::PackingView view = nb::packing_of(nb::slice(w, 0, 2, 9));
  EXPECT_EQ(view.components.back().first, nb::kInputOrder);
  EXPECT_EQ(view.components.size(), view.format.components.size() + 1);
  expect_same(nb::from_components(GetParam(), view.components, {7, kLength}), nb::slice(dense, 0, 2, 9));
  expect_same(w.to(nb::Device::cpu()), dense);
  EXPECT_GT(w.nbytes(), nb::quantize(dense, {.format = GetParam()}).nbytes());
}

INSTANTIATE_TEST_SUITE_P(Formats, InputOrder,
                         testing::Values("affine2-g32", "affine3-g64", "affine4-g128", "affine8-g64", "q4_0", "q6_k",
                                         "nf4"));

TEST(InputOrders, GoOverIntoAnotherFormatOfTheSameNumbers) {
  const auto [w, dense] = weight_of("q4_0", {kRows, kLength});
  const Tensor affine = nb::reexpress(nb::transpose(w), "affine4-g32");
  EXPECT_EQ(nb::packing_of(affine).format.name, "affine4-g32");
  expect_same(affine, nb::transpose(dense));
}

TEST(InputOrders, PackedRowsMayRunBackwards) {
  const auto [w, dense] = weight_of("q4_0", {kRows, kLength});
  const Tensor rows = nb::tensor<std::int32_t>({3, -1, 20}, {3});
  expect_same(nb::flip(w, {0}), nb::flip(dense, {0}));
  expect_same(nb::take(nb::flip(w, {0}), rows, 0), nb::take(nb::flip(dense, {0}), rows, 0));
}

TEST(InputOrders, RowsAreNotWrittenInto) {
  auto [w, dense] = weight_of("q8_0", {kRows, kLength});
  const Tensor rows = nb::random_normal({2, kLength}, 13);
  expect_same(nb::update_slice(w, rows, 4, 0), nb::update_slice(dense, rows, 4, 0));
}

TEST(InputOrders, KeysAndValuesOfAttentionMayHaveOne) {
  const auto [k, dense] = weight_of("q8_0", {1, 2, 10, 64});
  const Tensor q = nb::random_normal({1, 2, 3, 64}, 14);
  expect_close(nb::scaled_dot_product_attention(q, k, k), nb::scaled_dot_product_attention(q, dense, dense), 1);
}

TEST(InputOrders, OneThatChangesNothingIsNone) {
  const Tensor w = nb::quantize(nb::random_normal({4, 64}, 1), {.format = "q4_0"});
  nb::Components components = nb::packing_of(w).components;
  components.emplace_back(nb::kInputOrder, nb::arange(0, 64, 1, nb::DType::i32));
  const Tensor again = nb::from_components("q4_0", components, {4, 64});
  EXPECT_EQ(nb::packing_of(again).components.size(), 1u);
  EXPECT_EQ(nb::describe(again), nb::describe(w));
}

TEST(InputOrders, WhatIsNoPermutationIsRefused) {
  const Tensor w = nb::quantize(nb::random_normal({4, 64}, 1), {.format = "q4_0"});
  const auto error_of = [&](const Tensor& order, int times = 1) -> std::string {
    nb::Components components = nb::packing_of(w).components;
    for (int i = 0; i < times; ++i) components.emplace_back(nb::kInputOrder, order);
    try {
      nb::from_components("q4_0", components, {4, 64});
    } catch (const nb::Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(error_of(nb::zeros({64}, nb::DType::i32)), HasSubstr("is no permutation: entry 1 is 0"));
  EXPECT_THAT(error_of(nb::add(some_order(64, 1), nb::tensor<std::int32_t>({1}, {1}))), HasSubstr("is no permutation"));
  EXPECT_THAT(error_of(nb::subtract(some_order(64, 1), nb::tensor<std::int32_t>({1}, {1}))),
              HasSubstr("is no permutation"));
  EXPECT_THAT(error_of(some_order(32, 1)), HasSubstr("must be (64,)"));
  EXPECT_THAT(error_of(nb::zeros({64})), HasSubstr("must be i32"));
  EXPECT_THAT(error_of(Tensor()), HasSubstr("input_order undefined"));
  EXPECT_THAT(error_of(some_order(64, 1), 2), HasSubstr("given twice"));
}

}  // namespace
