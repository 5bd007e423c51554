// Products against fp64 sums over the decoded values: every placement of a packed operand, batch axes, vectors, empty
// sizes, errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "nibble/error.h"
#include "nibble/ops.h"
#include "tests/support/precision_bound.h"

namespace nb = nibble;
using nb::Shape;
using nb::Tensor;

namespace {

std::vector<double> values(const Tensor& t) {
  std::vector<double> out;
  for (const float v : nb::dequantize(t, nb::DType::f32).to_vector<float>()) out.push_back(v);
  return out;
}

std::int64_t at(const Shape& shape, const std::vector<std::int64_t>& index) {
  std::int64_t offset = 0;
  for (int i = 0; i < shape.rank(); ++i)
    offset = offset * shape[i] + (shape[i] == 1 ? 0 : index[static_cast<std::size_t>(i)]);
  return offset;
}

/// a (…, M, K) · b (…, K, N) by the definition, with each element's ‖x‖₂·‖w‖₂ beside it.
struct Oracle {
  std::vector<double> y, norm;
};

Oracle product(const Tensor& a, const Tensor& b, const Shape& result) {
  const auto av = values(a), bv = values(b);
  Oracle oracle;
  std::vector<std::int64_t> index(static_cast<std::size_t>(result.rank()), 0);
  const auto operand = [&](const Tensor& t, std::int64_t row, std::int64_t column) {
    std::vector<std::int64_t> i(index.end() - t.ndim(), index.end());
    i[i.size() - 2] = row;
    i[i.size() - 1] = column;
    return static_cast<std::size_t>(at(t.shape(), i));
  };
  for (std::int64_t n = 0; n < result.numel(); ++n) {
    std::int64_t rest = n;
    for (int i = result.rank() - 1; i >= 0; --i) {
      index[static_cast<std::size_t>(i)] = rest % result[i];
      rest /= result[i];
    }
    double sum = 0, xx = 0, ww = 0;
    for (std::int64_t k = 0; k < a.size(-1); ++k) {
      const double x = av[operand(a, index[index.size() - 2], k)];
      const double w = bv[operand(b, k, index.back())];
      sum += x * w;
      xx += x * x;
      ww += w * w;
    }
    oracle.y.push_back(sum);
    oracle.norm.push_back(std::sqrt(xx * ww));
  }
  return oracle;
}

void expect_product(const Tensor& a, const Tensor& b, const Shape& result, nb::Precision precision) {
  nb::Options options = nb::options();
  options.precision = precision;
  const Tensor y = nb::matmul(a, b, options);
  ASSERT_EQ(y.shape(), result) << nb::describe(a) << " · " << nb::describe(b);
  const Oracle oracle = product(a, b, result);
  const double bound = nibble_test::bound(precision);
  const auto got = values(y);
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_LE(std::abs(got[i] - oracle.y[i]), bound * oracle.norm[i] + 1e-30)
        << nb::describe(a) << " · " << nb::describe(b) << " at " << i << ": " << got[i] << " for " << oracle.y[i];
  }
}

Tensor dense(const Shape& shape, std::uint64_t seed) { return nb::random_normal(shape, seed); }
Tensor packed(const Shape& shape, std::uint64_t seed, int bits = 4, int group = 64) {
  return nb::quantize(dense(shape, seed), {.bits = bits, .group_size = group});
}
Tensor turned(const Tensor& t) { return nb::swapaxes(t, -1, -2); }

class EachPrecision : public testing::TestWithParam<nb::Precision> {};
INSTANTIATE_TEST_SUITE_P(Product, EachPrecision,
                         testing::Values(nb::Precision::exact, nb::Precision::standard, nb::Precision::fast));

TEST_P(EachPrecision, FourOrientationsOfANonSquareWeight) {
  const Tensor w = packed({96, 128}, 1);                               // 96 rows packed along 128
  expect_product(dense({3, 128}, 2), turned(w), {3, 96}, GetParam());  // x · wᵀ, along
  expect_product(dense({3, 96}, 3), w, {3, 128}, GetParam());          // x · w, across
  expect_product(w, dense({128, 5}, 4), {96, 5}, GetParam());          // w · x, packed left
  expect_product(turned(w), dense({96, 5}, 5), {128, 5}, GetParam());  // wᵀ · x
}

TEST_P(EachPrecision, PackedOnBothSides) {
  const Tensor a = packed({7, 128}, 1), b = packed({9, 128}, 2, 8, 32);
  expect_product(a, turned(b), {7, 9}, GetParam());
  expect_product(turned(a), packed({7, 64}, 3), {128, 64}, GetParam());
}

TEST_P(EachPrecision, BatchAxesBroadcastBothWays) {
  const Tensor experts = packed({4, 8, 64}, 1, 4, 32);
  expect_product(dense({2, 64}, 2), turned(experts), {4, 2, 8}, GetParam());
  expect_product(dense({3, 1, 2, 64}, 3), turned(experts), {3, 4, 2, 8}, GetParam());
  expect_product(dense({2, 3, 5, 64}, 4), turned(packed({8, 64}, 5)), {2, 3, 5, 8}, GetParam());
  expect_product(nb::broadcast_to(dense({1, 2, 64}, 6), {5, 2, 64}), turned(packed({8, 64}, 7)), {5, 2, 8}, GetParam());
  expect_product(experts, dense({1, 64, 3}, 8), {4, 8, 3}, GetParam());
  expect_product(nb::expand_dims(packed({8, 64}, 9), 0), dense({2, 64, 3}, 10), {2, 8, 3}, GetParam());
}

TEST_P(EachPrecision, DenseOperandsOfEveryLayout) {
  const Tensor x = dense({5, 70}, 1), w = dense({33, 70}, 2);
  expect_product(x, turned(w), {5, 33}, GetParam());
  expect_product(turned(turned(x)), nb::contiguous(turned(w)), {5, 33}, GetParam());
  expect_product(turned(dense({70, 5}, 3)), nb::slice(dense({70, 66}, 4), 1, 0, 66, 2), {5, 33}, GetParam());
  expect_product(nb::flip(x, {0, 1}), turned(w), {5, 33}, GetParam());
  expect_product(nb::cast(x, nb::DType::f16), nb::cast(dense({2, 70, 3}, 5), nb::DType::f32), {2, 5, 3}, GetParam());
}

TEST_P(EachPrecision, SlicedAndStridedPackedViews) {
  const Tensor w = packed({64, 256}, 1);
  expect_product(dense({3, 256}, 2), turned(nb::slice(w, 0, 5, 60, 7)), {3, 8}, GetParam());
  expect_product(dense({3, 128}, 3), turned(nb::slice(w, 1, 64, 192)), {3, 64}, GetParam());
  expect_product(nb::slice(dense({9, 300}, 4), 1, 11, 267), turned(w), {9, 64}, GetParam());
  expect_product(turned(dense({256, 4}, 5)), turned(w), {4, 64}, GetParam());
}

TEST(Product, EmptySizesGiveEmptyOrZero) {
  EXPECT_EQ(nb::matmul(dense({0, 64}, 1), turned(packed({8, 64}, 2))).shape(), (Shape{0, 8}));
  EXPECT_EQ(nb::matmul(dense({3, 64}, 1), nb::zeros({64, 0})).shape(), (Shape{3, 0}));
  EXPECT_THAT(nb::matmul(nb::zeros({2, 0}), nb::zeros({0, 3})).to_vector<float>(), testing::Each(0.0f));
}

TEST(Product, Vectors) {
  const Tensor w = packed({8, 64}, 1), x = dense({64}, 2), v = dense({8}, 3);
  EXPECT_EQ(nb::matmul(x, turned(w)).shape(), (Shape{8}));
  EXPECT_EQ(nb::matmul(v, w).shape(), (Shape{64}));
  EXPECT_EQ(nb::matmul(w, x).shape(), (Shape{8}));
  EXPECT_EQ(nb::matmul(x, x).shape(), (Shape{}));
  EXPECT_EQ(nb::matmul(dense({2, 5, 64}, 4), x).shape(), (Shape{2, 5}));
}

TEST(Product, ResultDtypeIsThePromotionOfLogicalDtypes) {
  const Tensor w = nb::quantize(nb::cast(dense({8, 64}, 1), nb::DType::bf16));
  EXPECT_EQ(w.dtype(), nb::DType::bf16);
  const Tensor x = dense({2, 64}, 2);
  EXPECT_EQ(nb::matmul(nb::cast(x, nb::DType::bf16), turned(w)).dtype(), nb::DType::bf16);
  EXPECT_EQ(nb::matmul(nb::cast(x, nb::DType::f16), turned(w)).dtype(), nb::DType::f32);
  EXPECT_EQ(nb::matmul(x, turned(w)).dtype(), nb::DType::f32);
}

TEST(Product, SumsAreKeptInF32WhateverTheActivationDtype) {
  // 4096 ones: a bf16 running sum would stop at 256.
  const Tensor ones = nb::ones({1, 4096}, nb::DType::bf16);
  EXPECT_EQ(nb::cast(nb::matmul(ones, nb::swapaxes(ones, 0, 1)), nb::DType::f32).item<float>(), 4096.0f);
}

TEST(Product, DecodingIsCountedAndForbidden) {
  const Tensor a = packed({8, 64}, 1), b = packed({8, 64}, 2);
  nb::reset_stats();
  nb::matmul(dense({2, 64}, 3), turned(a));
  EXPECT_EQ(nb::stats().bytes_dequantized, 0u) << "a packed kernel must serve the plain case";
  nb::matmul(a, turned(b));
  EXPECT_EQ(nb::stats().bytes_dequantized, 8u * 64 * 4);
  nb::Options strict = nb::options();
  strict.fallback = nb::Fallback::error;
  const nb::with scope(strict);
  EXPECT_THROW(nb::matmul(a, turned(b)), nb::Error);
  EXPECT_NO_THROW(nb::matmul(dense({2, 64}, 3), turned(a)));
}

void expect_error(const std::function<void()>& call, nb::ErrorCode code, const std::string& text) {
  try {
    call();
    FAIL() << "no error";
  } catch (const nb::Error& e) {
    EXPECT_EQ(e.code(), code);
    EXPECT_THAT(e.what(), testing::HasSubstr(text));
  }
}

TEST(Product, ErrorsNameOperandsAndRule) {
  const Tensor w = packed({128, 128}, 1);
  expect_error(
      [&] {
        nb::matmul(dense({3, 64}, 2), turned(w));
      },
      nb::ErrorCode::shape_mismatch,
      "[matmul] x f32 (3, 64) · w affine4-g64 (128, 128)ᵀ: contracted sizes 64 and 128 differ");
  expect_error(
      [&] {
        nb::matmul(nb::zeros({3, 128}, nb::DType::i32), turned(w));
      },
      nb::ErrorCode::dtype_mismatch, "[matmul] x i32 (3, 128)");
  expect_error(
      [&] {
        nb::matmul(dense({2, 3, 128}, 1), nb::zeros({3, 128, 4}));
      },
      nb::ErrorCode::shape_mismatch, "batch shapes (2,) and (3,) do not broadcast");
  expect_error([&] { nb::matmul(nb::full({}, 1.0f), w); }, nb::ErrorCode::shape_mismatch, "at least one axis");
  expect_error(
      [&] {
        nb::dot(dense({3, 4}, 1), {1}, {0}, dense({4, 4}, 2), {0}, {1});
      },
      nb::ErrorCode::shape_mismatch, "batch sizes 3 and 4 differ");
  expect_error(
      [&] {
        nb::dot(dense({3, 4}, 1), {1, 1}, {}, dense({4, 4}, 2), {0, 1}, {});
      },
      nb::ErrorCode::invalid_argument, "axis 1 named twice");
}

TEST(Dot, ContractsAnyAxesInDotGeneralOrder) {
  // a (B, C, F, D), b (D, G, B, C): batch B, contracted C and D.
  const Tensor a = dense({2, 3, 5, 4}, 1), b = dense({4, 6, 2, 3}, 2);
  const Tensor y = nb::dot(a, {1, 3}, {0}, b, {3, 0}, {2});
  ASSERT_EQ(y.shape(), (Shape{2, 5, 6}));
  const auto av = values(a), bv = values(b), yv = values(y);
  for (std::int64_t i = 0; i < 2; ++i) {
    for (std::int64_t f = 0; f < 5; ++f) {
      for (std::int64_t g = 0; g < 6; ++g) {
        double sum = 0;
        for (std::int64_t c = 0; c < 3; ++c) {
          for (std::int64_t d = 0; d < 4; ++d) {
            sum += av[static_cast<std::size_t>(at(a.shape(), {i, c, f, d}))] *
                   bv[static_cast<std::size_t>(at(b.shape(), {d, g, i, c}))];
          }
        }
        EXPECT_NEAR(yv[static_cast<std::size_t>(at(y.shape(), {i, f, g}))], sum, 1e-5);
      }
    }
  }
}

TEST(Dot, PackedWeightInAnyAxisOrder) {
  // (1, 128) × (128, 256) as a loader hands it out: the transposed view of a packed (256, 128).
  const Tensor w = packed({256, 128}, 1), x = dense({1, 128}, 2);
  nb::Options exact = nb::options();
  exact.precision = nb::Precision::exact;
  const nb::with scope(exact);
  nb::reset_stats();
  const Tensor y = nb::dot(x, nb::swapaxes(w, 0, 1));
  EXPECT_EQ(nb::stats().bytes_dequantized, 0u);
  const Tensor reference = nb::dot(x, nb::swapaxes(nb::dequantize(w), 0, 1));
  ASSERT_EQ(y.shape(), (Shape{1, 256}));
  const auto got = values(y), want = values(reference);
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-4);
  // Packed operand with several contracted axes: decoded, counted, right.
  const Tensor experts = packed({3, 4, 64}, 3), z = dense({4, 64, 2}, 4);
  const Tensor both = nb::dot(experts, {1, 2}, {}, z, {0, 1}, {});
  EXPECT_GT(nb::stats().bytes_dequantized, 0u);
  const Tensor dense_both = nb::dot(nb::dequantize(experts), {1, 2}, {}, z, {0, 1}, {});
  const auto got2 = values(both), want2 = values(dense_both);
  for (std::size_t i = 0; i < got2.size(); ++i) EXPECT_NEAR(got2[i], want2[i], 1e-4);
}

TEST(Einsum, AgreesWithItsParts) {
  const Tensor q = dense({2, 3, 4, 8}, 1), k = dense({2, 3, 5, 8}, 2);
  const auto near = [](const Tensor& a, const Tensor& b) {
    ASSERT_EQ(a.shape(), b.shape());
    const auto av = values(a), bv = values(b);
    for (std::size_t i = 0; i < av.size(); ++i) EXPECT_NEAR(av[i], bv[i], 1e-5);
  };
  const auto run = [](std::string_view text, std::vector<Tensor> operands) { return nb::einsum(text, operands); };
  near(run("bhqd,bhkd->bhqk", {q, k}), nb::matmul(q, turned(k)));
  near(run("...qd,...kd->...qk", {q, k}), nb::matmul(q, turned(k)));
  near(run("bhqd->bdq", {q}), nb::swapaxes(nb::sum(q, {1}), 1, 2));
  const Tensor m = dense({6, 6}, 3);
  near(run("ii", {m}), nb::sum(nb::multiply(m, nb::where(nb::equal(nb::expand_dims(nb::arange(0, 6), 0),
                                                                   nb::expand_dims(nb::arange(0, 6), 1)),
                                                         1.0f, 0.0f))));
  near(run("ij,jk,kl->il", {m, m, m}), nb::matmul(nb::matmul(m, m), m));
  near(run("i,j->ij", {nb::select(m, 0, 0), nb::select(m, 0, 1)}),
       nb::multiply(nb::expand_dims(nb::select(m, 0, 0), 1), nb::select(m, 0, 1)));
  near(run("ij,kj->ik", {m, m}), run("ij,kj", {m, m}));
  expect_error([&] { run("ij,jk->iz", {m, m}); }, nb::ErrorCode::invalid_argument, "'z' of the result is in no term");
  expect_error([&] { run("ijk,jk->i", {m, m}); }, nb::ErrorCode::invalid_argument, "term 0 names 3 axes of f32 (6, 6)");
  expect_error([&] { run("ij,jk", {m}); }, nb::ErrorCode::invalid_argument, "2 terms for 1 operands");
}

TEST(GatherMatmul, PicksAnExpertForEachRow) {
  const Tensor experts = packed({5, 8, 64}, 1, 4, 32);
  const Tensor x = dense({4, 1, 64}, 2);
  const Tensor indices = nb::tensor<std::int32_t>({3, 0, -1, 3}, {4});
  const Tensor y = nb::gather_matmul(x, turned(experts), indices);
  ASSERT_EQ(y.shape(), (Shape{4, 1, 8}));
  const int expert[] = {3, 0, 4, 3};
  for (int i = 0; i < 4; ++i) {
    const auto got = values(nb::select(y, 0, i));
    const auto want =
        values(nb::matmul(nb::select(x, 0, i), turned(nb::dequantize(nb::select(experts, 0, expert[i])))));
    for (std::size_t j = 0; j < got.size(); ++j) EXPECT_NEAR(got[j], want[j], 5e-3);
  }
}

TEST(GatherMatmul, IndicesAndRowsBroadcast) {
  const Tensor experts = packed({5, 8, 64}, 1, 4, 32);
  const Tensor x = dense({3, 1, 2, 64}, 2);                                     // (tokens, 1, M, K)
  const Tensor indices = nb::tensor<std::int32_t>({0, 1, 1, 2, 4, 4}, {3, 2});  // (tokens, used)
  const Tensor y = nb::gather_matmul(x, turned(experts), indices);
  EXPECT_EQ(y.shape(), (Shape{3, 2, 2, 8}));
  EXPECT_EQ(nb::gather_matmul(x, turned(experts), nb::zeros({3, 0}, nb::DType::i32)).shape(), (Shape{3, 0, 2, 8}));
  expect_error([&] { nb::gather_matmul(x, turned(experts), nb::tensor<std::int32_t>({5}, {1})); },
               nb::ErrorCode::out_of_range, "index 5 of 5 entries");
  // Not the last expert, which -1 would be.
  expect_error([&] { nb::gather_matmul(x, turned(experts), nb::tensor<std::uint64_t>({~std::uint64_t{0}}, {1})); },
               nb::ErrorCode::out_of_range, "index 18446744073709551615 of 5 entries");
}

TEST(TakePacked, DecodesOnlyTheGatheredRows) {
  const Tensor w = packed({10, 128}, 1);
  nb::reset_stats();
  const Tensor rows = nb::take(w, nb::tensor<std::int32_t>({3, -1, 3}, {3}));
  EXPECT_EQ(nb::stats().bytes_dequantized, 0u);
  EXPECT_EQ(rows.shape(), (Shape{3, 128}));
  EXPECT_EQ(rows.to_vector<float>(),
            nb::take(nb::dequantize(w), nb::tensor<std::int32_t>({3, 9, 3}, {3})).to_vector<float>());
  const Tensor columns = nb::take(nb::swapaxes(w, 0, 1), nb::tensor<std::int32_t>({2, 0}, {1, 2}), 1);
  EXPECT_EQ(columns.shape(), (Shape{128, 1, 2}));
  const Tensor experts = packed({4, 6, 64}, 2);
  const Tensor picked = nb::take(experts, nb::tensor<std::int32_t>({-1, 0}, {2}), 0);
  EXPECT_EQ(picked.to_vector<float>(),
            nb::take(nb::dequantize(experts), nb::tensor<std::int32_t>({3, 0}, {2}), 0).to_vector<float>());
  EXPECT_EQ(nb::take(experts, nb::tensor<std::int32_t>({5, 1}, {2}), 1).to_vector<float>(),
            nb::take(nb::dequantize(experts), nb::tensor<std::int32_t>({5, 1}, {2}), 1).to_vector<float>());
  const Tensor turned_experts = nb::swapaxes(experts, 1, 2);  // (4, 64, 6), packed along axis 1
  const Tensor pair = nb::tensor<std::int32_t>({5, 1}, {1, 2});
  const Tensor gathered = nb::take(turned_experts, pair, 2);
  EXPECT_EQ(gathered.shape(), (Shape{4, 64, 1, 2}));
  EXPECT_EQ(gathered.to_vector<float>(), nb::take(nb::dequantize(turned_experts), pair, 2).to_vector<float>());
  EXPECT_EQ(nb::take(turned_experts, nb::tensor<std::int32_t>({3, 1}, {1, 2}), -3).shape(), (Shape{1, 2, 64, 6}));
  EXPECT_EQ(nb::stats().bytes_dequantized, 0u);
  // Devices tell at the next wait.
  EXPECT_THROW(nb::take(w, nb::tensor<std::int32_t>({10}, {1})).to_vector<float>(), nb::Error);
  EXPECT_THROW(nb::take(experts, nb::tensor<std::int32_t>({-5}, {1})).to_vector<float>(), nb::Error);
}

}  // namespace
