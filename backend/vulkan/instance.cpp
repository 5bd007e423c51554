#include "backend/vulkan/instance.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <span>
#include <utility>

#include "nibble/error.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

constexpr const char* kValidationLayer = "VK_LAYER_KHRONOS_validation";

bool validation_wanted() {
  const char* wanted = std::getenv("NIBBLE_VULKAN_VALIDATION");
  return wanted != nullptr && *wanted != '\0' && std::strcmp(wanted, "0") != 0;
}

bool has_layer(const char* name) {
  std::uint32_t count = 0;
  vkEnumerateInstanceLayerProperties(&count, nullptr);
  std::vector<VkLayerProperties> layers(count);
  vkEnumerateInstanceLayerProperties(&count, layers.data());
  return std::any_of(layers.begin(), layers.end(),
                     [&](const VkLayerProperties& layer) { return std::strcmp(layer.layerName, name) == 0; });
}

std::string hexadecimal(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (const std::uint8_t b : bytes) text += fmt::format("{:02x}", b);
  return text;
}

}  // namespace

FoundDevice describe_device(VkPhysicalDevice physical) {
  FoundDevice found;
  found.physical = physical;
  VkPhysicalDeviceProperties properties{};
  vkGetPhysicalDeviceProperties(physical, &properties);
  found.name = properties.deviceName;
  found.type = properties.deviceType;
  found.features = probe_features(physical);
  if (properties.apiVersion >= VK_API_VERSION_1_2) {
    VkPhysicalDeviceDriverProperties driver{};
    driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES;
    VkPhysicalDeviceIDProperties id{};
    id.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES;
    driver.pNext = &id;
    VkPhysicalDeviceProperties2 more{};
    more.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    more.pNext = &driver;
    vkGetPhysicalDeviceProperties2(physical, &more);
    found.driver = fmt::format("{} {}", driver.driverName, driver.driverInfo);
    found.uuid = hexadecimal(id.deviceUUID);
    found.identity = fmt::format("{} {} {} {} {}", found.uuid, hexadecimal(id.driverUUID), found.driver,
                                 properties.driverVersion, hexadecimal(properties.pipelineCacheUUID));
  }
  VkPhysicalDeviceMemoryProperties memory{};
  vkGetPhysicalDeviceMemoryProperties(physical, &memory);
  for (std::uint32_t h = 0; h < memory.memoryHeapCount; ++h) {
    if (memory.memoryHeaps[h].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) found.memory_bytes += memory.memoryHeaps[h].size;
  }
  return found;
}

std::uint64_t free_memory(VkPhysicalDevice physical) {
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{};
  budget.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT;
  VkPhysicalDeviceMemoryProperties2 memory{};
  memory.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
  const bool tells = has_extension(physical, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  if (tells) memory.pNext = &budget;
  vkGetPhysicalDeviceMemoryProperties2(physical, &memory);
  std::uint64_t free = 0;
  for (std::uint32_t h = 0; h < memory.memoryProperties.memoryHeapCount; ++h) {
    const VkMemoryHeap& heap = memory.memoryProperties.memoryHeaps[h];
    if (!(heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)) continue;
    // A budget counts what this process has there already, and may be less than that.
    const VkDeviceSize budgeted = std::min(budget.heapBudget[h], heap.size), used = budget.heapUsage[h];
    free += !tells ? heap.size : budgeted > used ? budgeted - used : 0;
  }
  return free;
}

std::vector<FoundDevice> by_preference(std::vector<FoundDevice> devices) {
  constexpr VkPhysicalDeviceType kOrder[] = {
      VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU, VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU,
      VK_PHYSICAL_DEVICE_TYPE_OTHER, VK_PHYSICAL_DEVICE_TYPE_CPU};
  const auto place = [&](const FoundDevice& device) {
    return std::find(std::begin(kOrder), std::end(kOrder), device.type) - std::begin(kOrder);
  };
  std::stable_sort(devices.begin(), devices.end(),
                   [&](const FoundDevice& a, const FoundDevice& b) { return place(a) < place(b); });
  return devices;
}

Instance& Instance::get() {
  static Instance* const instance = new Instance();
  return *instance;
}

Instance::Instance() {
  try {
    open();
    find_devices();
  } catch (const Error& e) {
    absence_ = e.what();
  }
}

void Instance::open() {
  if (volkInitialize() != VK_SUCCESS) throw Error(ErrorCode::unsupported, "no Vulkan loader (libvulkan.so.1)");
  if (volkGetInstanceVersion() < VK_API_VERSION_1_2) {
    throw Error(ErrorCode::unsupported, "the Vulkan loader is older than 1.2");
  }
  VkApplicationInfo application{};
  application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
  application.pApplicationName = "nibble";
  application.apiVersion = VK_API_VERSION_1_2;

  VkDebugUtilsMessengerCreateInfoEXT messenger{};
  messenger.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT;
  messenger.messageSeverity =
      VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
  messenger.messageType =
      VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT;
  messenger.pfnUserCallback = hear;
  messenger.pUserData = this;
  const VkValidationFeatureEnableEXT synchronization = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
  VkValidationFeaturesEXT validation{};
  validation.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT;
  validation.pNext = &messenger;
  validation.enabledValidationFeatureCount = 1;
  validation.pEnabledValidationFeatures = &synchronization;

  VkInstanceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  info.pApplicationInfo = &application;
  const char* extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
  if (validation_wanted()) {
    if (!has_layer(kValidationLayer)) {
      throw Error(ErrorCode::unsupported,
                  fmt::format("NIBBLE_VULKAN_VALIDATION is set, but there is no {}", kValidationLayer));
    }
    info.pNext = &validation;
    info.enabledLayerCount = 1;
    info.ppEnabledLayerNames = &kValidationLayer;
    info.enabledExtensionCount = 1;
    info.ppEnabledExtensionNames = &extension;
  }
  check(vkCreateInstance(&info, nullptr, &instance_), "making an instance");
  volkLoadInstance(instance_);
  if (validation_wanted()) {
    VkDebugUtilsMessengerEXT handle = nullptr;
    check(vkCreateDebugUtilsMessengerEXT(instance_, &messenger, nullptr, &handle), "listening to the validation layer");
  }
}

void Instance::use_loader_of(VkInstance instance) {
  if (!vkEnumeratePhysicalDevices) {
    if (volkInitialize() != VK_SUCCESS) throw Error(ErrorCode::unsupported, "[vulkan] " + absence_);
    volkLoadInstanceOnly(instance);
  }
}

void Instance::find_devices() {
  std::uint32_t count = 0;
  check(vkEnumeratePhysicalDevices(instance_, &count, nullptr), "counting devices");
  std::vector<VkPhysicalDevice> physical(count);
  check(vkEnumeratePhysicalDevices(instance_, &count, physical.data()), "listing devices");
  if (count == 0) absence_ = "the Vulkan loader found no driver";
  std::vector<FoundDevice> all;
  for (VkPhysicalDevice device : physical) all.push_back(describe_device(device));
  for (FoundDevice& found : by_preference(std::move(all))) {
    if (found.features.lacking.empty()) {
      devices_.push_back(std::move(found));
    } else {
      absence_ += fmt::format("{}{} lacks {}", absence_.empty() ? "" : "; ", found.name,
                              fmt::join(found.features.lacking, ", "));
    }
  }
}

std::string Instance::take_messages() {
  const std::lock_guard lock(messages_mutex_);
  return std::exchange(messages_, {});
}

VkBool32 Instance::hear(VkDebugUtilsMessageSeverityFlagBitsEXT, VkDebugUtilsMessageTypeFlagsEXT,
                        const VkDebugUtilsMessengerCallbackDataEXT* data, void* self) {
  auto* instance = static_cast<Instance*>(self);
  const std::lock_guard lock(instance->messages_mutex_);
  instance->messages_ += fmt::format("{}{}", instance->messages_.empty() ? "" : " | ", data->pMessage);
  return VK_FALSE;
}

}  // namespace nibble::inline v0::detail::vulkan
