// Stands in for backend/vulkan in builds without it.
#include <fmt/format.h>

#include "backend/common/backend.h"
#include "nibble/error.h"
#include "nibble/vulkan.h"

namespace nibble {
inline namespace v0 {
namespace detail {

std::vector<DeviceInfo> vulkan_devices() { return {}; }

Backend& vulkan_backend(int index) {
  throw Error(ErrorCode::unsupported,
              fmt::format("[device] vulkan:{}: there is only the cpu; nibble was built without Vulkan", index));
}

}  // namespace detail

namespace {

[[noreturn]] void refuse() { throw Error(ErrorCode::unsupported, "[device] nibble was built without Vulkan"); }

}  // namespace

std::string vulkan_absence() { return "nibble was built without Vulkan"; }
std::vector<KernelTime> profile(Device, const std::function<void()>&) { refuse(); }
std::uint64_t free_memory(Device) { refuse(); }
std::uint64_t submissions(Device) { refuse(); }
Device adopt_vulkan_device(const VulkanHandles&) { refuse(); }
void release_vulkan_device(Device) { refuse(); }
void wait_for_semaphore(Device, VkSemaphore_T*, std::uint64_t) { refuse(); }
void signal_semaphore(Device, VkSemaphore_T*, std::uint64_t) { refuse(); }
VulkanBuffer vulkan_buffer(const Tensor&) { refuse(); }

}  // namespace v0
}  // namespace nibble
