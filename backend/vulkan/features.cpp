#include "backend/vulkan/features.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <string_view>

#include "backend/vulkan/cooperative_matrices.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

/// The structures in which Vulkan 1.2 tells features, chained.
struct FeatureChain {
  FeatureChain() {
    core.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    core.pNext = &v11;
    v11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES;
    v11.pNext = &v12;
    v12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
    dot_products.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES;
    subgroups.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT;
    matrices.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR;
  }
  void ask_for_dot_products() { ask_for(dot_products); }
  void ask_for_full_subgroups() { ask_for(subgroups); }
  void ask_for_matrices() { ask_for(matrices); }
  FeatureChain(const FeatureChain&) = delete;
  FeatureChain& operator=(const FeatureChain&) = delete;

  VkPhysicalDeviceFeatures2 core{};
  VkPhysicalDeviceVulkan11Features v11{};
  VkPhysicalDeviceVulkan12Features v12{};
  // Of extensions, chained where there are those.
  VkPhysicalDeviceShaderIntegerDotProductFeatures dot_products{};
  VkPhysicalDeviceSubgroupSizeControlFeaturesEXT subgroups{};
  VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrices{};

 private:
  template <class Part>
  void ask_for(Part& part) {
    part.pNext = v12.pNext;
    v12.pNext = &part;
  }
};

struct Needed {
  const char* name;
  VkBool32& (*of)(FeatureChain& chain);
};
/// What every shader needs: addresses instead of bindings, so that no buffer is too large; 64-bit places; narrow
/// storage.
constexpr Needed kNeeded[] = {
    {"shaderInt64", [](FeatureChain& c) -> VkBool32& { return c.core.features.shaderInt64; }},
    {"storageBuffer16BitAccess", [](FeatureChain& c) -> VkBool32& { return c.v11.storageBuffer16BitAccess; }},
    {"storageBuffer8BitAccess", [](FeatureChain& c) -> VkBool32& { return c.v12.storageBuffer8BitAccess; }},
    {"bufferDeviceAddress", [](FeatureChain& c) -> VkBool32& { return c.v12.bufferDeviceAddress; }},
    {"timelineSemaphore", [](FeatureChain& c) -> VkBool32& { return c.v12.timelineSemaphore; }},
};

/// What some shaders use where a device has it.
struct Optional {
  const char* name;
  bool Features::*flag;
  VkBool32& (*of)(FeatureChain& chain);
};
constexpr Optional kOptional[] = {
    {"shaderFloat16", &Features::halves, [](FeatureChain& c) -> VkBool32& { return c.v12.shaderFloat16; }},
    {"shaderIntegerDotProduct", &Features::dot_products,
     [](FeatureChain& c) -> VkBool32& { return c.dot_products.shaderIntegerDotProduct; }},
    {"vulkanMemoryModel", &Features::memory_model,
     [](FeatureChain& c) -> VkBool32& { return c.v12.vulkanMemoryModel; }},
    {"vulkanMemoryModelDeviceScope", &Features::device_scope,
     [](FeatureChain& c) -> VkBool32& { return c.v12.vulkanMemoryModelDeviceScope; }},
    {"computeFullSubgroups", &Features::full_subgroups,
     [](FeatureChain& c) -> VkBool32& { return c.subgroups.computeFullSubgroups; }},
    {"cooperativeMatrix", &Features::cooperative,
     [](FeatureChain& c) -> VkBool32& { return c.matrices.cooperativeMatrix; }},
};

constexpr VkSubgroupFeatureFlags kSubgroupUses = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;

/// Whether a device has the matrices that NVIDIA's drivers had before Khronos's, which its shaders do not use.
bool has_matrices_of_nvidia(VkPhysicalDevice device) {
  if (!has_extension(device, VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME)) return false;
  VkPhysicalDeviceCooperativeMatrixFeaturesNV matrices{};
  matrices.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_NV;
  VkPhysicalDeviceFeatures2 core{};
  core.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
  core.pNext = &matrices;
  vkGetPhysicalDeviceFeatures2(device, &core);
  return matrices.cooperativeMatrix != VK_FALSE;
}

/// The largest of the shapes that a device multiplies f16 in, and sums in f32, that shaders/gemm_matrices.glsl takes:
/// powers of two, of at most 16.
MatrixShape matrices_of(VkPhysicalDevice device) {
  const auto properties_of = reinterpret_cast<PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR>(
      vkGetInstanceProcAddr(volkGetLoadedInstance(), "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"));
  std::uint32_t count = 0;
  if (!properties_of || properties_of(device, &count, nullptr) < 0) return {};
  VkCooperativeMatrixPropertiesKHR row{};
  row.sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR;
  std::vector<VkCooperativeMatrixPropertiesKHR> rows(count, row);
  if (properties_of(device, &count, rows.data()) < 0) return {};
  rows.resize(count);
  MatrixShape best;
  const auto fits = [](std::uint32_t size) { return size <= 16 && std::has_single_bit(size); };
  for (const VkCooperativeMatrixPropertiesKHR& r : rows) {
    const bool of_halves = r.AType == VK_COMPONENT_TYPE_FLOAT16_KHR && r.BType == VK_COMPONENT_TYPE_FLOAT16_KHR;
    const bool to_floats = r.CType == VK_COMPONENT_TYPE_FLOAT32_KHR && r.ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR;
    if (!of_halves || !to_floats || r.scope != VK_SCOPE_SUBGROUP_KHR) continue;
    if (!fits(r.MSize) || !fits(r.NSize) || !fits(r.KSize)) continue;
    if (r.MSize * r.NSize * r.KSize > best.m * best.n * best.k) best = {r.MSize, r.NSize, r.KSize};
  }
  return best;
}

}  // namespace

bool has_extension(VkPhysicalDevice device, std::string_view name) {
  std::uint32_t count = 0;
  vkEnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> found(count);
  vkEnumerateDeviceExtensionProperties(device, nullptr, &count, found.data());
  return std::any_of(found.begin(), found.end(), [&](const auto& e) { return name == e.extensionName; });
}

Features probe_features(VkPhysicalDevice device) {
  Features found;
  VkPhysicalDeviceVulkan11Properties v11{};
  v11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES;
  VkPhysicalDeviceFloatControlsProperties floats{};
  floats.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FLOAT_CONTROLS_PROPERTIES;
  VkPhysicalDeviceMaintenance4PropertiesKHR buffers{};
  buffers.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES_KHR;
  buffers.maxBufferSize = ~VkDeviceSize{0};
  VkPhysicalDeviceProperties2 properties{};
  properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
  properties.pNext = &v11;
  v11.pNext = &floats;
  if (has_extension(device, VK_KHR_MAINTENANCE_4_EXTENSION_NAME)) floats.pNext = &buffers;
  vkGetPhysicalDeviceProperties(device, &properties.properties);
  if (properties.properties.apiVersion < VK_API_VERSION_1_2) {
    found.lacking.emplace_back("Vulkan 1.2");
    return found;
  }
  vkGetPhysicalDeviceProperties2(device, &properties);
  const VkPhysicalDeviceLimits& limits = properties.properties.limits;
  found.subgroup_size = std::max(v11.subgroupSize, 1u);
  found.shared_memory_bytes = limits.maxComputeSharedMemorySize;
  found.largest_workgroup = std::min(limits.maxComputeWorkGroupInvocations, limits.maxComputeWorkGroupSize[0]);
  found.most_workgroups = std::min(limits.maxComputeWorkGroupCount[0], limits.maxComputeWorkGroupCount[1]);
  found.largest_buffer = buffers.maxBufferSize;
  found.strict_floats = floats.shaderSignedZeroInfNanPreserveFloat32 != VK_FALSE;
  const bool computes = (v11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
  if (!computes || (v11.subgroupSupportedOperations & kSubgroupUses) != kSubgroupUses) {
    found.lacking.emplace_back("subgroup arithmetic");
  }

  // A processor that plays the device reads addresses in a loop over lanes.
  if (properties.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU &&
      has_extension(device, VK_KHR_PUSH_DESCRIPTOR_EXTENSION_NAME)) {
    found.texels = true;
    found.shuffles = (v11.subgroupSupportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT) != 0;
    found.texel_view_bytes = std::uint64_t{limits.maxTexelBufferElements} * 4;
    found.extensions.push_back(VK_KHR_PUSH_DESCRIPTOR_EXTENSION_NAME);
  }

  FeatureChain chain;
  const bool may_have_dot_products = has_extension(device, VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME);
  if (may_have_dot_products) chain.ask_for_dot_products();
  if (has_extension(device, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) chain.ask_for_full_subgroups();
  if (has_extension(device, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME)) chain.ask_for_matrices();
  vkGetPhysicalDeviceFeatures2(device, &chain.core);
  for (const Needed& needed : kNeeded) {
    (needed.of(chain) ? found.names : found.lacking).emplace_back(needed.name);
  }
  for (const Optional& optional : kOptional) {
    found.*optional.flag = optional.of(chain) != VK_FALSE;
    if (found.*optional.flag) found.names.emplace_back(optional.name);
  }
  if (found.dot_products) {
    found.extensions.push_back(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME);
    VkPhysicalDeviceShaderIntegerDotProductProperties dot_products{};
    dot_products.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES;
    properties.pNext = &dot_products;
    vkGetPhysicalDeviceProperties2(device, &properties);
    found.quick_dot_products = dot_products.integerDotProduct4x8BitPackedSignedAccelerated != VK_FALSE;
  }
  // A workgroup of their products is four subgroups.
  if (found.cooperative && found.memory_model && found.device_scope && found.full_subgroups && found.halves &&
      4 * found.subgroup_size <= found.largest_workgroup) {
    found.matrices = matrices_of(device);
  }
  // Where the memory model is there, atomics on memory need its scope too: neither is used alone.
  if (found.matrices.k == 0) {
    found.memory_model = found.device_scope = found.full_subgroups = found.cooperative = false;
  } else {
    found.extensions.push_back(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
    found.extensions.push_back(VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME);
    found.names.push_back(fmt::format("matrices{}x{}x{}", found.matrices.m, found.matrices.n, found.matrices.k));
  }
  if (has_matrices_of_nvidia(device)) found.names.emplace_back("cooperativeMatrixNV(unused)");
  if (found.texels) found.names.emplace_back("pushDescriptors");
  if (found.shuffles) found.names.emplace_back("subgroupShuffle");
  return found;
}

void Features::leave_out_optional() {
  texels = shuffles = false;
  matrices = {};
  for (const Optional& optional : kOptional) this->*optional.flag = false;
  extensions.clear();
  names.clear();
  for (const Needed& needed : kNeeded) names.emplace_back(needed.name);
}

VkDevice create_device(VkPhysicalDevice physical, const Features& features, std::uint32_t family) {
  FeatureChain chain;
  for (const Needed& needed : kNeeded) needed.of(chain) = VK_TRUE;
  if (features.dot_products) chain.ask_for_dot_products();
  if (features.full_subgroups) chain.ask_for_full_subgroups();
  if (features.cooperative) chain.ask_for_matrices();
  for (const Optional& optional : kOptional) optional.of(chain) = features.*optional.flag ? VK_TRUE : VK_FALSE;
  const float priority = 1;
  VkDeviceQueueCreateInfo queue{};
  queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
  queue.queueFamilyIndex = family;
  queue.queueCount = 1;
  queue.pQueuePriorities = &priority;
  VkDeviceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
  info.pNext = &chain.core;
  info.queueCreateInfoCount = 1;
  info.pQueueCreateInfos = &queue;
  info.enabledExtensionCount = static_cast<std::uint32_t>(features.extensions.size());
  info.ppEnabledExtensionNames = features.extensions.data();
  VkDevice device = nullptr;
  check(vkCreateDevice(physical, &info, nullptr, &device), "making a device");
  return device;
}

}  // namespace nibble::inline v0::detail::vulkan
