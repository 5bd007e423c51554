// Which kernel a device takes for a product, by what it has: no device is needed.
#include <gtest/gtest.h>

#include <string>

#include "backend/vulkan/pipelines.h"
#include "backend/vulkan/vulkan_backend.h"
#include "quant_tensor/formats/format.h"

namespace nibble::tests {
namespace {

using detail::MatmulQuery;
using detail::Orientation;

/// A graphics card's, with nothing but what every one has.
detail::vulkan::FoundDevice card() {
  detail::vulkan::FoundDevice found;
  found.features.subgroup_size = 32;
  return found;
}

std::string chosen(const detail::vulkan::FoundDevice& found, Precision precision, std::int64_t rows,
                   const char* format = "affine4-g64", bool deterministic = false) {
  const auto kernels = detail::vulkan::VulkanBackend::kernels_of(found);
  const MatmulQuery query{detail::find_format(format), DType::f32, Orientation::along, rows, precision, deterministic};
  return detail::best_kernel(kernels, query)->name;
}

TEST(ChoiceOfProducts, CooperativeMatricesTakeManyRowsWhereADeviceHasThem) {
  auto found = card();
  EXPECT_EQ(chosen(found, Precision::standard, 512), "gemm_vulkan");
  EXPECT_EQ(chosen(found, Precision::fast, 512), "gemm_vulkan");
  found.features.matrices = {16, 16, 16};
  if (!detail::vulkan::find_shader("gemm_matrices_affine")) {
    EXPECT_EQ(chosen(found, Precision::fast, 512), "gemm_vulkan");
    GTEST_SKIP() << "skipped: the compiler of shaders knows no cooperative matrices (make deps)";
  }
  EXPECT_EQ(chosen(found, Precision::standard, 512), "matrices_standard_vulkan");
  EXPECT_EQ(chosen(found, Precision::fast, 512), "matrices_fast_vulkan");
  EXPECT_EQ(chosen(found, Precision::exact, 512), "gemm_vulkan");
  EXPECT_EQ(chosen(found, Precision::standard, 1), "gemv_vulkan");
  EXPECT_EQ(chosen(found, Precision::standard, 512, "nf4"), "gemm_vulkan");  // whose numbers are no integers
  // One row alone as in any batch.
  EXPECT_EQ(chosen(found, Precision::standard, 1, "q4_k", true), "matrices_standard_vulkan");
  // Before products of bytes, which are slower; where the processor plays the device, not at all.
  found.features.dot_products = found.features.quick_dot_products = true;
  EXPECT_EQ(chosen(found, Precision::fast, 512), "matrices_fast_vulkan");
  EXPECT_EQ(chosen(found, Precision::fast, 1), "gemv_bytes_vulkan");
  found.software = true;
  EXPECT_EQ(chosen(found, Precision::standard, 512), "lanes_vulkan");
}

}  // namespace
}  // namespace nibble::tests
