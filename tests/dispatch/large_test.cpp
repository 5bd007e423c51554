// Sizes at which 16 and 32 bits run out, and packed tensors joined with others.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cmath>
#include <cstring>

#include "nibble/error.h"
#include "nibble/ops.h"

namespace {

namespace nb = nibble;
using nb::Tensor;

/// Zeros that take address space and no memory, until they are written.
std::shared_ptr<std::uint8_t> sparse_zeros(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  return {static_cast<std::uint8_t*>(memory), [bytes](std::uint8_t* p) { munmap(p, bytes); }};
}

void expect_row_products(const Tensor& y, const Tensor& x, const std::vector<float>& weights, std::int64_t first,
                         std::int64_t count) {
  const std::vector<float> got = y.to_vector<float>(), xs = x.to_vector<float>();
  const std::int64_t length = x.size(1), outputs = y.size(1);
  for (std::int64_t m = 0; m < x.size(0); ++m) {
    for (std::int64_t n = first; n < first + count; ++n) {
      double sum = 0, xx = 0, ww = 0;
      for (std::int64_t k = 0; k < length; ++k) {
        const double a = xs[static_cast<std::size_t>(m * length + k)],
                     b = weights[static_cast<std::size_t>(n * length + k)];
        sum += a * b, xx += a * a, ww += b * b;
      }
      ASSERT_NEAR(got[static_cast<std::size_t>(m * outputs + n)], sum, 1e-4 * std::sqrt(xx * ww)) << m << ' ' << n;
    }
  }
}

TEST(LargeSizes, MoreRowsThanFifteenBitsCount) {
  constexpr std::int64_t kRows = 70'001;
  const Tensor w = nb::quantize(nb::random_normal({kRows, 32}, 1), {.bits = 4, .group_size = 32});
  const std::vector<float> weights = nb::dequantize(w).to_vector<float>();
  for (const std::int64_t rows : {1, 3, 9}) {
    const Tensor x = nb::random_normal({rows, 32}, 2), y = nb::matmul(x, nb::transpose(w));
    for (const std::int64_t first : {std::int64_t{0}, std::int64_t{32'760}, std::int64_t{65'530}, kRows - 20})
      expect_row_products(y, x, weights, first, 20);
  }
  // As many rows of x, and the weight contracted along its rows.
  const Tensor few = nb::quantize(nb::random_normal({5, 32}, 3), {.bits = 4, .group_size = 32});
  const Tensor tall = nb::random_normal({kRows, 32}, 4);
  const Tensor end = nb::slice(tall, 0, kRows - 7, kRows);
  const Tensor product = nb::matmul(tall, nb::transpose(few));
  expect_row_products(nb::slice(product, 0, kRows - 7, kRows), end, nb::dequantize(few).to_vector<float>(), 0, 5);
  const Tensor taken = nb::take(w, nb::tensor<std::int32_t>({40'000, -1}, {2}));
  EXPECT_EQ(nb::select(taken, 0, 0).to_vector<float>(),
            std::vector<float>(weights.begin() + 40'000 * 32, weights.begin() + 40'001 * 32));
  EXPECT_EQ(nb::select(taken, 0, 1).to_vector<float>(), std::vector<float>(weights.end() - 32, weights.end()));
}

TEST(LargeSizes, DenseElementsPastTwoToThe31) {
  const nb::with on_host({});                                // which has address space without memory
  constexpr std::int64_t kRows = 65'537, kColumns = 32'769;  // 2^31 and some
  const auto memory = sparse_zeros(static_cast<std::size_t>(kRows * kColumns));
  if (!memory) GTEST_SKIP() << "skipped: no 2 GiB of address space";
  for (std::int64_t k = 0; k < kColumns; ++k) memory.get()[(kRows - 1) * kColumns + k] = static_cast<std::uint8_t>(k);
  const Tensor x = nb::from_borrowed(memory, memory.get(), {kRows, kColumns}, nb::DType::u8);
  EXPECT_EQ(nb::slice(x, 0, kRows - 1, kRows).to_vector<std::uint8_t>()[300], 300 % 256);
  const Tensor row = nb::select(nb::take(x, nb::tensor<std::int64_t>({-1}, {1})), 0, 0);
  EXPECT_EQ(nb::slice(row, 0, 255, 258).to_vector<std::uint8_t>(), (std::vector<std::uint8_t>{255, 0, 1}));
  const Tensor column = nb::select(nb::slice(nb::transpose(x), 1, kRows - 2, kRows), 0, 77);
  EXPECT_EQ(column.to_vector<std::uint8_t>(), (std::vector<std::uint8_t>{0, 77}));
}

TEST(LargeSizes, PackedElementsPastTwoToThe31) {
  const nb::with on_host({});  // which has address space without memory
  constexpr std::int64_t kRows = (std::int64_t{1} << 21) + 5, kColumns = 1024, kRowBytes = kColumns / 32 * 34;
  const auto memory = sparse_zeros(static_cast<std::size_t>(kRows * kRowBytes));
  if (!memory) GTEST_SKIP() << "skipped: no 2 GiB of address space";
  const Tensor end = nb::quantize(nb::random_normal({3, kColumns}, 5), {.format = "q8_0"});
  const Tensor blocks = nb::packing_of(end).components[0].second;
  std::memcpy(memory.get() + (kRows - 3) * kRowBytes, blocks.raw_data(), static_cast<std::size_t>(3 * kRowBytes));
  const Tensor whole = nb::from_components(
      "q8_0", {{"blocks", nb::from_borrowed(memory, memory.get(), {kRows, kRowBytes}, nb::DType::u8)}},
      {kRows, kColumns});
  const std::vector<float> weights = nb::dequantize(end).to_vector<float>();
  EXPECT_EQ(nb::dequantize(nb::slice(whole, 0, kRows - 3, kRows)).to_vector<float>(), weights);
  EXPECT_EQ(nb::take(whole, nb::tensor<std::int64_t>({-3, -2, kRows - 1}, {3})).to_vector<float>(), weights);
  const Tensor x = nb::random_normal({2, kColumns}, 6);
  expect_row_products(nb::matmul(x, nb::transpose(nb::slice(whole, 0, kRows - 3, kRows))), x, weights, 0, 3);
  // The same place reached as an expert of its own.
  const Tensor experts = nb::reshape(nb::slice(whole, 0, kRows - 1, kRows), {1, 1, kColumns});
  expect_row_products(nb::gather_matmul(x, nb::swapaxes(experts, -1, -2), nb::zeros({}, nb::DType::i32)), x,
                      {weights.begin() + 2 * kColumns, weights.end()}, 0, 1);
}

TEST(ConcatenatePacked, OfAnyFormatsIsThatOfTheirValues) {
  const Tensor four = nb::quantize(nb::random_normal({3, 64}, 1)),
               eight = nb::quantize(nb::random_normal({5, 64}, 2), {.bits = 8});
  const Tensor gguf = nb::quantize(nb::random_normal({2, 64}, 3), {.format = "q4_0"}),
               dense = nb::random_normal({4, 64}, 4);
  const std::vector<std::vector<Tensor>> cases{{four, four}, {four, eight}, {gguf, four, dense}, {dense, eight}};
  for (const auto& parts : cases) {
    std::vector<Tensor> values;
    for (const Tensor& part : parts) values.push_back(nb::dequantize(part));
    EXPECT_EQ(nb::concatenate(parts).to_vector<float>(), nb::concatenate(values).to_vector<float>());
  }
  const std::vector<Tensor> sides{nb::slice(eight, 0, 0, 3), four};
  const std::vector<Tensor> side_values{nb::dequantize(sides[0]), nb::dequantize(sides[1])};
  EXPECT_EQ(nb::concatenate(sides, 1).to_vector<float>(), nb::concatenate(side_values, 1).to_vector<float>());
  const nb::with strict({.fallback = nb::Fallback::error});
  EXPECT_THROW(nb::concatenate(cases[1]), nb::Error);
}

}  // namespace
