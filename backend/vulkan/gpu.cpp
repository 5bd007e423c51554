#include "backend/vulkan/gpu.h"

#include <fmt/format.h>

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

Gpu::Gpu(const FoundDevice& found, const VulkanHandles* host) : found_(found), own_(host == nullptr) {
  family_ = own_ ? computing_family(found.physical) : host->queue_family;
  device_ = own_ ? create_device(found.physical, found.features, family_) : host->device;
  volkLoadDeviceTable(&table_, device_);
  if (own_) {
    table_.vkGetDeviceQueue(device_, family_, 0, &queue_);
  } else {
    queue_ = host->queue;
    queue_in_use_ = host->queue_in_use;
  }
  VkSemaphoreTypeCreateInfo type{};
  type.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO;
  type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
  VkSemaphoreCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO;
  info.pNext = &type;
  check(table_.vkCreateSemaphore(device_, &info, nullptr, &timeline_), "making the timeline");
}

Gpu::~Gpu() {
  table_.vkDestroySemaphore(device_, timeline_, nullptr);
  if (own_) table_.vkDestroyDevice(device_, nullptr);
}

void Gpu::require_alive() const {
  if (lost_) throw Error(ErrorCode::device_lost, fmt::format("[vulkan] {}: the device was lost", found_.name));
}

void Gpu::require(VkResult result, std::string_view what) {
  lost_ = lost_ || result == VK_ERROR_DEVICE_LOST;
  check(result, fmt::format("{}: {}", found_.name, what));
}

void Gpu::submit(VkCommandBuffer commands, std::uint64_t batch) {
  require_alive();
  std::vector<VkSemaphore> waits, signals{timeline_};
  std::vector<std::uint64_t> awaited, reached{batch};
  for (const Moment& moment : waits_) {
    waits.push_back(moment.timeline);
    awaited.push_back(moment.value);
  }
  for (const Moment& moment : signals_) {
    signals.push_back(moment.timeline);
    reached.push_back(moment.value);
  }
  const std::vector<VkPipelineStageFlags> stages(waits.size(), VK_PIPELINE_STAGE_ALL_COMMANDS_BIT);
  VkTimelineSemaphoreSubmitInfo values{};
  values.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO;
  values.waitSemaphoreValueCount = static_cast<std::uint32_t>(awaited.size());
  values.pWaitSemaphoreValues = awaited.data();
  values.signalSemaphoreValueCount = static_cast<std::uint32_t>(reached.size());
  values.pSignalSemaphoreValues = reached.data();
  VkSubmitInfo info{};
  info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
  info.pNext = &values;
  info.commandBufferCount = 1;
  info.pCommandBuffers = &commands;
  info.waitSemaphoreCount = static_cast<std::uint32_t>(waits.size());
  info.pWaitSemaphores = waits.data();
  info.pWaitDstStageMask = stages.data();
  info.signalSemaphoreCount = static_cast<std::uint32_t>(signals.size());
  info.pSignalSemaphores = signals.data();
  const auto alone = queue_in_use_ ? std::unique_lock(*queue_in_use_) : std::unique_lock<std::mutex>();
  require(table_.vkQueueSubmit(queue_, 1, &info, nullptr), "submitting");
  waits_.clear();
  signals_.clear();
}

bool Gpu::reached(std::uint64_t batch) {
  if (batch <= reached_) return true;
  require_alive();
  require(table_.vkGetSemaphoreCounterValue(device_, timeline_, &reached_), "asking the timeline");
  return batch <= reached_;
}

void Gpu::wait(std::uint64_t batch) {
  if (reached(batch)) return;
  VkSemaphoreWaitInfo info{};
  info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO;
  info.semaphoreCount = 1;
  info.pSemaphores = &timeline_;
  info.pValues = &batch;
  require(table_.vkWaitSemaphores(device_, &info, std::numeric_limits<std::uint64_t>::max()), "waiting");
  reached_ = batch;
}

}  // namespace nibble::inline v0::detail::vulkan
