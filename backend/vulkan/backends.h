#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "backend/vulkan/vulkan_backend.h"
#include "nibble/vulkan.h"

namespace nibble::inline v0::detail::vulkan {

/// One backend a device, made when the device is first asked for. They never end, but for those of adopted devices:
/// tensors may outlive any order of destruction.
class Backends {
 public:
  static Backends& get();

  /// Throws Error(unsupported) that says what there is.
  VulkanBackend& at(int index);
  std::vector<DeviceInfo> devices();
  std::uint64_t free_memory(int index);

  Device adopt(const VulkanHandles& handles);
  void release(Device device);

 private:
  struct Place {
    FoundDevice found;
    std::optional<VulkanHandles> host;
    std::unique_ptr<VulkanBackend> backend;
    bool empty = false;  // what was here has been released
  };
  Backends();
  std::string absence(int index);

  std::mutex mutex_;
  std::deque<Place> places_;  // a device's index is its place
};

}  // namespace nibble::inline v0::detail::vulkan
