// Every format of the table on a device: it decodes there to the values of the scalar reference, whatever its bytes
// are, and each algorithm multiplies with it.
#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>

#include "backend/common/backend.h"
#include "nibble/ops.h"
#include "tests/backend/kernel_data.h"
#include "tests/dispatch/on_vulkan.h"

namespace {

namespace nb = nibble;
using nb::DType;
using nb::Tensor;
using nb::detail::Format;
using nb::detail::Orientation;

/// Bits, but for what no number is, and for subnormal numbers, which a device may take for zero.
bool is_same(float a, float b) {
  const auto tiny = [](float x) { return std::abs(x) < FLT_MIN; };
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) || (std::isnan(a) && std::isnan(b)) ||
         (tiny(a) && tiny(b));
}
std::size_t first_difference(const std::vector<float>& a, const std::vector<float>& b) {
  const auto at = std::mismatch(a.begin(), a.end(), b.begin(), b.end(), is_same).first;
  return static_cast<std::size_t>(at - a.begin());
}

/// (rows, length), a row of any bytes at all, where a block is one component.
Tensor any_weights(const Format& format, std::int64_t rows, std::int64_t length, nibble_test::Random& random) {
  const Tensor packed = nibble_test::packed_matrix(format, rows, length, DType::f32, random);
  if (format.components.size() > 1) return packed;
  const nb::detail::MutablePackedRow row =
      nb::detail::mutable_packed_row(format, packed.packing()->components, rows - 1);
  for (std::int64_t i = 0; i < format.width(0, length); ++i) {
    row.component[0][i] = static_cast<std::byte>(nibble_test::pick(random, 0, 255));
  }
  return packed;
}

using VulkanFormats = nb::tests::OnVulkan;

TEST_F(VulkanFormats, DecodeToTheBitsOfTheReference) {
  nibble_test::Random random(7);
  for (const Format* format : nb::detail::format_table()) {
    SCOPED_TRACE(std::string(format->name));
    const std::int64_t rows = 6, length = 4 * format->block;
    const Tensor w = any_weights(*format, rows, length, random);
    // From inside of the rows, every other one.
    const Tensor part = nb::slice(nb::slice(w, 0, 1, rows, 2), 1, format->block, length);
    const Tensor indices = nb::tensor<std::int32_t>({-1, 0, 2}, {3});
    const nb::with there(only_there());
    const auto values = nb::dequantize(part.to(device()), DType::f32).to_vector<float>();
    const auto taken = nb::take(w.to(device()), indices.to(device())).to_vector<float>();
    const nb::with here{nb::Options{}};
    const auto expected = nibble_test::decoded(part), expected_rows = nibble_test::decoded(w);
    EXPECT_EQ(first_difference(values, expected), expected.size());
    for (std::size_t i = 0; i < 3; ++i) {
      const std::size_t row = i == 0 ? rows - 1 : i == 1 ? 0 : 2, size = static_cast<std::size_t>(length);
      const auto begin = expected_rows.begin() + static_cast<std::ptrdiff_t>(row * size);
      const auto got = taken.begin() + static_cast<std::ptrdiff_t>(i * size);
      EXPECT_TRUE(std::equal(got, got + length, begin, is_same)) << i;
    }
  }
}

TEST_F(VulkanFormats, MultiplyWithoutLeavingTheDevice) {
  nibble_test::Random random(8);
  for (const Format* format : nb::detail::format_table()) {
    // Group sizes are a number in one shader.
    if (format->mode == "affine" && format->group_size != 64) continue;
    SCOPED_TRACE(std::string(format->name));
    // Sizes that fill no tile; the view begins inside of its rows.
    const std::int64_t length = 4 * format->block;
    const Tensor whole = nibble_test::packed_matrix(*format, 37, length, DType::bf16, random);
    const Tensor w = nb::slice(nb::slice(whole, 0, 2, 37), 1, format->block, length);
    const Tensor x = nb::random_normal({3, length - format->block}, 6);
    const auto expected = nb::matmul(x, nb::transpose(nb::dequantize(w, DType::f32))).to_vector<float>();
    const nb::with there(only_there());
    const auto got = nb::matmul(x.to(device()), nb::transpose(w.to(device()))).to_vector<float>();
    for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(got[i], expected[i], 2e-4) << i;
  }
}

TEST_F(VulkanFormats, StayOnTheDeviceWhenExpressedOtherwise) {
  const Tensor w = nb::quantize(nb::random_normal({4, 64}, 9), {.format = "q4_1"});
  const Tensor there = nb::reexpress(w.to(device()), "affine4-g32");
  EXPECT_EQ(there.device(), device());
  EXPECT_EQ(nb::dequantize(there).to_vector<float>(), nb::dequantize(w).to_vector<float>());
}

TEST_F(VulkanFormats, HaveAKernelOfEachAlgorithm) {
  for (const nb::detail::MatmulKernel& kernel : nb::detail::vulkan_backend(device().index).matmul_kernels()) {
    if (kernel.name == "host") continue;
    const auto orientation = kernel.name.starts_with("across") ? Orientation::across : Orientation::along;
    for (const Format* format : nb::detail::format_table()) {
      // Products of bytes, and of matrices, multiply numbers that are bytes: not floats of eight bits.
      if (kernel.precision != nb::Precision::exact && format->components.size() > 1 && !format->codes) continue;
      const std::int64_t rows = kernel.name.starts_with("matrices") ? 9 : 1;
      EXPECT_TRUE(kernel.supports({format, DType::f32, orientation, rows, kernel.precision, false}))
          << kernel.name << ' ' << format->name;
    }
  }
}

}  // namespace
