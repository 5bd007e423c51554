#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "backend/vulkan/features.h"
#include "nibble/device.h"

namespace nibble::inline v0::detail::vulkan {

/// A device that the loader told of.
struct FoundDevice {
  VkPhysicalDevice physical = nullptr;
  std::string name, driver;
  std::string uuid;      ///< of the device, in hexadecimal
  std::string identity;  ///< device, driver and its version: what pipelines are compiled for
  VkPhysicalDeviceType type = VK_PHYSICAL_DEVICE_TYPE_OTHER;
  std::uint64_t memory_bytes = 0;  ///< of the device's own heaps
  Features features;

  /// Whether the processor plays it.
  bool is_software() const { return type == VK_PHYSICAL_DEVICE_TYPE_CPU; }
};

/// Discrete, integrated, virtual, any other, software; those of a kind as they were.
std::vector<FoundDevice> by_preference(std::vector<FoundDevice> devices);

FoundDevice describe_device(VkPhysicalDevice physical);
/// What of memory_bytes nobody uses at the moment; all of it where the driver does not tell.
std::uint64_t free_memory(VkPhysicalDevice physical);

/// The process's one connection to the loader. It is made at first use and never ends: tensors may outlive any order of
/// destruction.
class Instance {
 public:
  /// Never throws: where there is no loader, or no driver, devices() is empty and absence() says why.
  static Instance& get();

  /// Those that shaders can run on, by preference.
  const std::vector<FoundDevice>& devices() const { return devices_; }
  /// What was found where nothing was, or besides: "no Vulkan loader", "lavapipe lacks shaderInt64".
  const std::string& absence() const { return absence_; }

  /// Loads what was not yet: nibble's own instance may have found nothing. Throws where there is no loader.
  void use_loader_of(VkInstance instance);

  /// What the validation layer said since the last call: NIBBLE_VULKAN_VALIDATION=1 turns it on.
  std::string take_messages();

 private:
  Instance();
  void open();
  void find_devices();
  static VkBool32 hear(VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT type,
                       const VkDebugUtilsMessengerCallbackDataEXT* data, void* self);

  VkInstance instance_ = nullptr;
  std::vector<FoundDevice> devices_;
  std::string absence_;
  std::mutex messages_mutex_;
  std::string messages_;
};

}  // namespace nibble::inline v0::detail::vulkan
