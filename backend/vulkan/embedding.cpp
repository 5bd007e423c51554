// What a program that knows of Vulkan asks for: counts, and work on a device of its own.
#include <fmt/format.h>

#include "backend/vulkan/backends.h"
#include "nibble/error.h"
#include "nibble/vulkan.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble::inline v0 {
namespace {

using detail::vulkan::Backends;

void require_vulkan(Device device) {
  if (device.type != DeviceType::vulkan)
    throw Error(ErrorCode::invalid_argument, fmt::format("[device] {}: is no Vulkan device", to_string(device)));
}

detail::vulkan::Context& context_of(Device device) {
  require_vulkan(device);
  return Backends::get().at(device.index).context();
}

}  // namespace

std::string vulkan_absence() { return detail::vulkan::Instance::get().absence(); }

std::uint64_t free_memory(Device device) {
  require_vulkan(device);
  return Backends::get().free_memory(device.index);
}

std::uint64_t submissions(Device device) { return context_of(device).submissions(); }

Device adopt_vulkan_device(const VulkanHandles& handles) { return Backends::get().adopt(handles); }
void release_vulkan_device(Device device) { Backends::get().release(device); }

void wait_for_semaphore(Device device, VkSemaphore_T* timeline, std::uint64_t value) {
  context_of(device).wait_for({timeline, value});
}
void signal_semaphore(Device device, VkSemaphore_T* timeline, std::uint64_t value) {
  context_of(device).signal({timeline, value});
}

VulkanBuffer vulkan_buffer(const Tensor& tensor) {
  if (!tensor.is_contiguous() || tensor.device().type != DeviceType::vulkan) {
    throw Error(
        ErrorCode::unsupported,
        fmt::format("[vulkan_buffer] {} on {}: only a contiguous dense tensor on a Vulkan device lies in a buffer",
                    describe(tensor), to_string(tensor.device())));
  }
  return context_of(tensor.device()).buffer_of(tensor);
}

}  // namespace nibble::inline v0
