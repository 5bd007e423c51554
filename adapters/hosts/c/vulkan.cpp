#include "nibble/vulkan.h"

#include "adapters/hosts/c/handles.h"
#include "nibble/error.h"

namespace nibble {
namespace hosts {
namespace {

nibble_status adopt(nibble_context* context, const nibble_vulkan_handles* handles, char name[16],
                    nibble_error** error) {
  return guarded(context, error, [&] {
    const nibble_vulkan_handles h = sized(handles, "nibble_vulkan_handles");
    required(name, "name");
    VulkanHandles own;
    own.instance = static_cast<VkInstance_T*>(h.instance);
    own.physical_device = static_cast<VkPhysicalDevice_T*>(h.physical_device);
    own.device = static_cast<VkDevice_T*>(h.device);
    own.queue = static_cast<VkQueue_T*>(h.queue);
    own.queue_family = h.queue_family;
    const std::string text = to_string(adopt_vulkan_device(own));
    name[text.copy(name, 15)] = '\0';
  });
}

template <void (*order)(Device, VkSemaphore_T*, std::uint64_t)>
nibble_status ordered(nibble_context* context, const char* device, void* timeline, std::uint64_t value,
                      nibble_error** error) {
  return guarded(context, error, [&] {
    order(Device::parse(required(device, "device")), static_cast<VkSemaphore_T*>(required(timeline, "timeline")),
          value);
  });
}

nibble_status buffer(nibble_context* context, const nibble_tensor* x, nibble_vulkan_memory* out, nibble_error** error) {
  return guarded(context, error, [&] {
    const VulkanBuffer b = nibble::vulkan_buffer(tensor_of(x));
    fill(nibble_vulkan_memory{sizeof(nibble_vulkan_memory), b.buffer, b.offset, b.bytes, b.address}, out,
         "nibble_vulkan_memory");
  });
}

}  // namespace

void add_vulkan(nibble_api& api) {
  api.vulkan_adopt = adopt;
  api.vulkan_release = [](nibble_context* context, const char* device, nibble_error** error) {
    return guarded(context, error, [&] { release_vulkan_device(Device::parse(required(device, "device"))); });
  };
  api.vulkan_wait = ordered<wait_for_semaphore>;
  api.vulkan_signal = ordered<signal_semaphore>;
  api.vulkan_buffer = buffer;
}

}  // namespace hosts
}  // namespace nibble
