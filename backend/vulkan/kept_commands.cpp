#include "backend/vulkan/kept_commands.h"

#include <utility>

#include "nibble/error.h"

namespace nibble::inline v0::detail::vulkan {

KeptCommands::KeptCommands(Gpu& of) : gpu(of) {
  VkCommandPoolCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
  info.queueFamilyIndex = gpu.family();
  check(gpu.call().vkCreateCommandPool(gpu.handle(), &info, nullptr, &pool), "making a command pool");
  VkCommandBufferAllocateInfo allocation{};
  allocation.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
  allocation.commandPool = pool;
  allocation.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  allocation.commandBufferCount = 1;
  const VkResult result = gpu.call().vkAllocateCommandBuffers(gpu.handle(), &allocation, &buffer);
  if (result < 0) gpu.call().vkDestroyCommandPool(gpu.handle(), pool, nullptr);
  check(result, "making a command buffer");
}

void KeptCommands::end() noexcept {
  if (!pool) return;
  try {
    if (!gpu.is_lost()) gpu.wait(batch);
  } catch (const Error&) {
    // The device is lost: nothing runs there.
  }
  gpu.call().vkDestroyCommandPool(gpu.handle(), std::exchange(pool, nullptr), nullptr);
}

bool KeptCommands::hold_back(const Region& region) noexcept {
  const auto found = held.find(region.address());
  if (found == held.end()) return false;
  found->second = {region, true};
  return true;
}

}  // namespace nibble::inline v0::detail::vulkan
