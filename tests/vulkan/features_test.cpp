// What is read of a driver's answers, put into the mouth of the device at hand.
#include <gmock/gmock.h>
#include <volk.h>

#include <cstring>
#include <utility>

#include "backend/vulkan/instance.h"

namespace nibble::tests {
namespace {

using detail::vulkan::Features;

/// Vulkan's list of a device's extensions, with one more.
PFN_vkEnumerateDeviceExtensionProperties list_really = nullptr;
VkResult list_one_more(VkPhysicalDevice physical, const char* layer, std::uint32_t* count, VkExtensionProperties* out) {
  std::uint32_t own = 0;
  list_really(physical, layer, &own, nullptr);
  if (out != nullptr) {
    list_really(physical, layer, &own, out);
    std::strcpy(out[own].extensionName, VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME);
  }
  *count = own + 1;
  return VK_SUCCESS;
}

/// Vulkan's features, with those of that extension as a test says.
VkBool32 has_matrices = VK_FALSE;
PFN_vkGetPhysicalDeviceFeatures2 tell_really = nullptr;
void tell_of_matrices(VkPhysicalDevice physical, VkPhysicalDeviceFeatures2* features) {
  tell_really(physical, features);
  for (auto* part = static_cast<VkBaseOutStructure*>(features->pNext); part != nullptr; part = part->pNext) {
    if (part->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_NV) continue;
    reinterpret_cast<VkPhysicalDeviceCooperativeMatrixFeaturesNV*>(part)->cooperativeMatrix = has_matrices;
  }
}

TEST(FeaturesOfDevices, MatricesOfNvidiaAreToldAndNotUsed) {
  const auto& devices = detail::vulkan::Instance::get().devices();
  if (devices.empty()) GTEST_SKIP() << "skipped: there is no device";
  const VkPhysicalDevice physical = devices.front().physical;
  const Features without = detail::vulkan::probe_features(physical);
  list_really = std::exchange(vkEnumerateDeviceExtensionProperties, list_one_more);
  tell_really = std::exchange(vkGetPhysicalDeviceFeatures2, tell_of_matrices);
  has_matrices = VK_TRUE;
  const Features with = detail::vulkan::probe_features(physical);
  has_matrices = VK_FALSE;
  const Features disabled = detail::vulkan::probe_features(physical);
  vkEnumerateDeviceExtensionProperties = list_really;
  vkGetPhysicalDeviceFeatures2 = tell_really;

  const auto is_told = testing::Contains("cooperativeMatrixNV(unused)");
  EXPECT_THAT(with.names, is_told);
  EXPECT_THAT(disabled.names, testing::Not(is_told));
  EXPECT_EQ(with.names.size(), without.names.size() + 1);
  EXPECT_EQ(with.matrices.k, without.matrices.k);
  EXPECT_EQ(with.extensions.size(), without.extensions.size());
}

}  // namespace
}  // namespace nibble::tests
