// Grouped products against fp64 sums over the decoded values: any number of rows for an expert, rows that lie anywhere,
// weights packed along any axis.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <thread>
#include <utility>
#include <vector>

#include "nibble/device.h"
#include "nibble/error.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"
#include "tests/support/precision_bound.h"

namespace nb = nibble;
using nb::Shape;
using nb::Tensor;

namespace {

std::vector<float> values(const Tensor& t) { return nb::dequantize(t, nb::DType::f32).to_vector<float>(); }

nb::Options with_precision(nb::Precision precision) {
  nb::Options options = nb::options();
  options.precision = precision;
  return options;
}

/// Numbers that look drawn by lot, in [0, below).
Tensor some_indices(const Shape& shape, std::int64_t below, std::uint32_t seed) {
  std::vector<std::int32_t> indices;
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    seed = seed * 1664525u + 1013904223u;
    indices.push_back(static_cast<std::int32_t>((seed >> 8) % static_cast<std::uint32_t>(below)));
  }
  return nb::from_data(std::span<const std::int32_t>(indices), shape);
}

/// y = gather_matmul(x, w, indices), every element within the precision's bound.
void expect_gathered(const Tensor& x, const Tensor& w, const Tensor& indices, nb::Precision precision) {
  const nb::with scope(with_precision(precision));
  const Tensor y = nb::gather_matmul(x, w, indices);
  Shape full = y.shape();
  const std::int64_t m = x.size(-2), k = x.size(-1), n = w.size(2);
  ASSERT_EQ(full.back(), n);
  const std::int64_t count = full.numel() / (m * n);
  full[full.rank() - 1] = k;
  const auto xs = values(nb::broadcast_to(nb::dequantize(x, nb::DType::f32), full)), ws = values(w), ys = values(y);
  Shape batch;
  for (int i = 0; i + 2 < full.rank(); ++i) batch.push_back(full[i]);
  const auto experts = nb::broadcast_to(indices, batch).to_vector<std::int32_t>();
  const double bound = nibble_test::bound(precision);
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t row = 0; row < m; ++row) {
      for (std::int64_t c = 0; c < n; ++c) {
        double sum = 0, xx = 0, ww = 0;
        for (std::int64_t j = 0; j < k; ++j) {
          const double a = xs[static_cast<std::size_t>((i * m + row) * k + j)];
          const double b = ws[static_cast<std::size_t>((experts[static_cast<std::size_t>(i)] * k + j) * n + c)];
          sum += a * b;
          xx += a * a;
          ww += b * b;
        }
        const double error = std::abs(ys[static_cast<std::size_t>((i * m + row) * n + c)] - sum);
        ASSERT_LE(error, bound * std::sqrt(xx * ww) + 1e-30)
            << nb::describe(x) << " · " << nb::describe(w) << ", entry " << i << ", row " << row << ", column " << c;
      }
    }
  }
}

constexpr nb::Precision kPrecisions[] = {nb::Precision::exact, nb::Precision::standard, nb::Precision::fast};

TEST(GatherMatmulRows, AnyNumberForAnExpert) {
  for (const std::int64_t experts : {1, 5, 12}) {
    const Tensor w =
        nb::swapaxes(nb::quantize(nb::random_normal({experts, 20, 128}, 1), {.bits = 4, .group_size = 64}), 1, 2);
    for (const std::int64_t tokens : {1, 2, 9, 70}) {
      const Tensor x = nb::random_normal({tokens, 1, 1, 128}, 2);
      for (const nb::Precision precision : kPrecisions) {
        expect_gathered(x, w, some_indices({tokens, 3}, experts, 7), precision);
      }
    }
  }
}

TEST(GatherMatmulRows, LieAnywhere) {
  const Tensor w = nb::swapaxes(nb::quantize(nb::random_normal({5, 12, 64}, 1), {.bits = 3, .group_size = 32}), 1, 2);
  const Tensor indices = some_indices({6, 2}, 5, 3);
  const Tensor base = nb::random_normal({2, 6, 3, 64}, 2);
  for (const nb::Precision precision : kPrecisions) {
    expect_gathered(nb::select(nb::swapaxes(base, 0, 1), 1, 1), w, some_indices({6}, 5, 3), precision);
    expect_gathered(nb::expand_dims(nb::select(base, 0, 1), 1), w, indices, precision);         // M = 3, broadcast
    expect_gathered(nb::select(base, 0, 0), w, nb::tensor<std::int32_t>({4}, {1}), precision);  // one expert for all
    expect_gathered(nb::swapaxes(nb::random_normal({6, 2, 64, 3}, 4), 2, 3), w, indices, precision);  // columns apart
    expect_gathered(nb::slice(base, 3, 0, 64), w, nb::tensor<std::int32_t>({1, 3}, {2, 1}), precision);
    expect_gathered(nb::cast(nb::select(base, 0, 1), nb::DType::bf16), nb::cast(nb::dequantize(w), nb::DType::f32),
                    some_indices({6}, 5, 3), precision);
  }
}

TEST(GatherMatmulWeights, PackedAlongAnyAxisOrDense) {
  const Tensor x = nb::random_normal({9, 1, 2, 64}, 2);
  const Tensor indices = some_indices({9, 2}, 7, 3);
  const auto pack = [](const Shape& shape) {
    return nb::quantize(nb::random_normal(shape, 1), {.bits = 4, .group_size = 32});
  };
  for (const nb::Precision precision : kPrecisions) {
    expect_gathered(x, nb::swapaxes(pack({7, 32, 64}), 1, 2), indices, precision);
    expect_gathered(x, pack({7, 64, 32}), indices, precision);  // across the packed axis
    expect_gathered(x, nb::random_normal({7, 64, 32}, 4), indices, precision);
    expect_gathered(x, nb::swapaxes(nb::random_normal({7, 32, 64}, 4), 1, 2), indices, precision);
    expect_gathered(x, nb::slice(nb::swapaxes(pack({16, 32, 64}), 1, 2), 0, 3, 10), indices, precision);
    expect_gathered(pack({9, 1, 2, 64}), nb::random_normal({7, 64, 32}, 4), indices, precision);
  }
  // Packed along the experts: decoded whole, once, and counted.
  const Tensor turned = nb::transpose(pack({32, 64, 32}), {2, 1, 0});
  nb::reset_stats();
  expect_gathered(x, turned, indices, nb::Precision::standard);
  EXPECT_EQ(nb::stats().bytes_dequantized, 32u * 64 * 32 * 4);
  nb::Options strict = nb::options();
  strict.fallback = nb::Fallback::error;
  const nb::with scope(strict);
  EXPECT_THROW(nb::gather_matmul(x, turned, indices), nb::Error);
}

// Whether each row of x is of one expert, or of several that share what is prepared of it.
TEST(GatherMatmulRows, NotFiniteOnesStayAlone) {
  const Tensor w = nb::swapaxes(nb::quantize(nb::random_normal({3, 16, 64}, 1), {.bits = 4, .group_size = 64}), 1, 2);
  std::vector<float> rows = nb::random_normal({10, 64}, 2).to_vector<float>();
  rows[4 * 64 + 3] = std::numeric_limits<float>::infinity();
  const Tensor x = nb::from_data(std::span<const float>(rows), {10, 1, 1, 64});
  for (const std::int64_t each : {1, 2}) {
    const Tensor indices = nb::broadcast_to(nb::tensor<std::int32_t>({0, 2}, {1, 2}), {10, 2});
    for (const nb::Precision precision : kPrecisions) {
      const nb::with scope(with_precision(precision));
      const auto y = nb::gather_matmul(x, w, nb::slice(indices, 1, 0, each)).to_vector<float>();
      ASSERT_EQ(y.size(), static_cast<std::size_t>(10 * each * 16));
      for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isfinite(y[i]), i / 16 / each != 4) << i;
    }
  }
}

TEST(GatherMatmulThreads, TheBitsAreTheSame) {
  const Tensor w = nb::swapaxes(nb::quantize(nb::random_normal({12, 96, 256}, 1), {.bits = 4, .group_size = 64}), 1, 2);
  const int before = nb::num_threads();
  for (const std::int64_t tokens : {1, 60}) {
    const Tensor x = nb::random_normal({tokens, 1, 1, 256}, 2);
    const Tensor indices = some_indices({tokens, 4}, 12, 9);
    for (const nb::Precision precision : kPrecisions) {
      const nb::with scope(with_precision(precision));
      std::vector<float> first;
      for (const int threads : {1, 2, 5}) {
        nb::set_num_threads(threads);
        const auto y = nb::gather_matmul(x, w, indices).to_vector<float>();
        if (first.empty()) first = y;
        EXPECT_EQ(y, first) << threads;
      }
    }
  }
  nb::set_num_threads(before);
}

// A pool of an embedder's may be one that cannot wait for itself.
TEST(GatherMatmulThreads, AHostsPoolIsNotCalledFromItsTasks) {
  const Tensor w =
      nb::swapaxes(nb::quantize(nb::random_normal({6, 512, 1024}, 1), {.bits = 4, .group_size = 64}), 1, 2);
  const Tensor x = nb::random_normal({20, 1, 1, 1024}, 2);
  const Tensor indices = some_indices({20, 2}, 6, 9);
  const auto want = nb::gather_matmul(x, w, indices).to_vector<float>();
  static thread_local bool in_task = false;
  std::atomic<int> inside{0}, outside{0};
  nb::set_parallel_for(
      [&](std::int64_t count, const std::function<void(std::int64_t)>& task) {
        ++(in_task ? inside : outside);
        std::vector<std::thread> threads;
        for (std::int64_t i = 0; i < count; ++i) {
          threads.emplace_back([&task, i] {
            in_task = true;
            task(i);
          });
        }
        for (std::thread& thread : threads) thread.join();
      },
      3);
  const auto got = nb::gather_matmul(x, w, indices).to_vector<float>();
  nb::set_parallel_for({}, 0);
  EXPECT_EQ(got, want);
  EXPECT_GT(outside, 0);
  EXPECT_EQ(inside, 0);
}

TEST(GatherMatmulDeterministic, ARowAloneHasTheBitsOfTheBatch) {
  const Tensor w = nb::swapaxes(nb::quantize(nb::random_normal({3, 32, 128}, 1), {.bits = 4, .group_size = 64}), 1, 2);
  const Tensor x = nb::random_normal({40, 1, 1, 128}, 2);
  const Tensor indices = some_indices({40, 2}, 3, 9);
  for (const nb::Precision precision : kPrecisions) {
    nb::Options options = with_precision(precision);
    options.deterministic = true;
    const nb::with scope(options);
    const Tensor all = nb::gather_matmul(x, w, indices);
    for (const int token : {0, 17, 39}) {
      const Tensor alone =
          nb::gather_matmul(nb::slice(x, 0, token, token + 1), w, nb::slice(indices, 0, token, token + 1));
      EXPECT_EQ(alone.to_vector<float>(), nb::slice(all, 0, token, token + 1).to_vector<float>());
    }
  }
}

TEST(MatmulDeterministic, ARowAloneHasTheBitsOfAnyBatch) {
  const Tensor w = nb::swapaxes(nb::quantize(nb::random_normal({48, 576}, 1), {.bits = 4, .group_size = 64}), 0, 1);
  const Tensor x = nb::random_normal({40, 576}, 2);
  for (const nb::Precision precision : kPrecisions) {
    nb::Options options = with_precision(precision);
    options.deterministic = true;
    const nb::with scope(options);
    const Tensor all = nb::matmul(x, w);
    for (const int rows : {1, 3, 11}) {
      EXPECT_EQ(nb::matmul(nb::slice(x, 0, 20, 20 + rows), w).to_vector<float>(),
                nb::slice(all, 0, 20, 20 + rows).to_vector<float>());
    }
  }
}

// Several products of matrices at once share the threads.
TEST(MatmulBatches, ShareThreadsAndKeepTheirBits) {
  const Tensor w = nb::swapaxes(nb::quantize(nb::random_normal({4, 48, 128}, 1), {.bits = 4, .group_size = 64}), 1, 2);
  const Tensor x = nb::random_normal({3, 1, 7, 128}, 2);
  const int before = nb::num_threads();
  std::vector<float> first;
  for (const int threads : {1, 2, 5}) {
    nb::set_num_threads(threads);
    const Tensor y = nb::matmul(x, w);
    ASSERT_EQ(y.shape(), (Shape{3, 4, 7, 48}));
    if (first.empty()) first = y.to_vector<float>();
    EXPECT_EQ(y.to_vector<float>(), first) << threads;
    EXPECT_EQ(nb::select(nb::select(y, 0, 2), 0, 1).to_vector<float>(),
              nb::matmul(nb::select(nb::select(x, 0, 2), 0, 0), nb::select(w, 0, 1)).to_vector<float>());
  }
  nb::set_num_threads(before);
}

}  // namespace
