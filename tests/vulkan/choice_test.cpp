// Which device is preferred, and which kernel it takes for a product, by what it has: no device is needed.
#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <vector>

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

TEST(ChoiceOfDevices, GoesByKindWhateverTheOrderTheyAreFoundIn) {
  const std::vector<std::string> in_order{"discrete", "discrete, too", "integrated", "virtual", "other", "software"};
  const VkPhysicalDeviceType types[] = {VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,   VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
                                        VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU, VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU,
                                        VK_PHYSICAL_DEVICE_TYPE_OTHER,          VK_PHYSICAL_DEVICE_TYPE_CPU};
  std::vector<std::size_t> order{0, 1, 2, 3, 4, 5};
  do {
    // Two of a kind stay as the driver has them.
    if (std::ranges::find(order, 1u) < std::ranges::find(order, 0u)) continue;
    std::vector<detail::vulkan::FoundDevice> found(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
      found[i].name = in_order[order[i]];
      found[i].type = types[order[i]];
    }
    std::vector<std::string> names;
    for (const auto& device : detail::vulkan::by_preference(found)) names.push_back(device.name);
    ASSERT_EQ(names, in_order) << testing::PrintToString(order);
  } while (std::ranges::next_permutation(order).found);
  EXPECT_TRUE(detail::vulkan::by_preference({}).empty());
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
  found.type = VK_PHYSICAL_DEVICE_TYPE_CPU;
  EXPECT_EQ(chosen(found, Precision::standard, 512), "lanes_vulkan");
}

}  // namespace
}  // namespace nibble::tests
