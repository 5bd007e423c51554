#include "backend/common/backend.h"
#include "nibble/device.h"

namespace nibble {
inline namespace v0 {

std::vector<DeviceInfo> devices() {
  std::vector<DeviceInfo> all{detail::cpu_device()};
  for (DeviceInfo& info : detail::vulkan_devices()) all.push_back(std::move(info));
  return all;
}

}  // namespace v0
}  // namespace nibble
