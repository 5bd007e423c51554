#include "backend/vulkan/gpu.h"

#include <limits>

#include "nibble/error.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

/// A family that computes; one that does not draw as well, where there is one.
std::uint32_t computing_family(VkPhysicalDevice physical) {
  std::uint32_t count = 0;
  vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, families.data());
  std::uint32_t best = count;
  for (std::uint32_t f = 0; f < count; ++f) {
    const VkQueueFlags flags = families[f].queueFlags;
    if (!(flags & VK_QUEUE_COMPUTE_BIT)) continue;
    if (best == count || !(flags & VK_QUEUE_GRAPHICS_BIT)) best = f;
  }
  if (best == count) throw Error(ErrorCode::unsupported, "[vulkan] the device has no queue that computes");
  return best;
}

}  // namespace

Gpu::Gpu(const FoundDevice& found)
    : found_(found), family_(computing_family(found.physical)), device_(create_device(found.physical, found.features, family_)) {
  volkLoadDeviceTable(&table_, device_);
  table_.vkGetDeviceQueue(device_, family_, 0, &queue_);
  VkSemaphoreTypeCreateInfo type{};
  type.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO;
  type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
  VkSemaphoreCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO;
  info.pNext = &type;
  check(table_.vkCreateSemaphore(device_, &info, nullptr, &timeline_), "making the timeline");
}

void Gpu::submit(VkCommandBuffer commands, std::uint64_t batch) {
  VkTimelineSemaphoreSubmitInfo values{};
  values.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO;
  values.signalSemaphoreValueCount = 1;
  values.pSignalSemaphoreValues = &batch;
  VkSubmitInfo info{};
  info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
  info.pNext = &values;
  info.commandBufferCount = 1;
  info.pCommandBuffers = &commands;
  info.signalSemaphoreCount = 1;
  info.pSignalSemaphores = &timeline_;
  check(table_.vkQueueSubmit(queue_, 1, &info, nullptr), "submitting");
}

bool Gpu::reached(std::uint64_t batch) {
  if (batch <= reached_) return true;
  check(table_.vkGetSemaphoreCounterValue(device_, timeline_, &reached_), "asking the timeline");
  return batch <= reached_;
}

void Gpu::wait(std::uint64_t batch) {
  if (reached(batch)) return;
  VkSemaphoreWaitInfo info{};
  info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO;
  info.semaphoreCount = 1;
  info.pSemaphores = &timeline_;
  info.pValues = &batch;
  check(table_.vkWaitSemaphores(device_, &info, std::numeric_limits<std::uint64_t>::max()), "waiting");
  reached_ = batch;
}

}  // namespace nibble::inline v0::detail::vulkan
