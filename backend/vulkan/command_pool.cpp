#include "backend/vulkan/command_pool.h"

namespace nibble::inline v0::detail::vulkan {

CommandPool make_command_pool(Gpu& gpu, VkCommandPoolCreateFlags flags) {
  CommandPool made;
  VkCommandPoolCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
  info.flags = flags;
  info.queueFamilyIndex = gpu.family();
  check(gpu.call().vkCreateCommandPool(gpu.handle(), &info, nullptr, &made.pool), "making a command pool");
  VkCommandBufferAllocateInfo allocation{};
  allocation.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
  allocation.commandPool = made.pool;
  allocation.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  allocation.commandBufferCount = 1;
  const VkResult result = gpu.call().vkAllocateCommandBuffers(gpu.handle(), &allocation, &made.buffer);
  if (result < 0) gpu.call().vkDestroyCommandPool(gpu.handle(), made.pool, nullptr);
  check(result, "making a command buffer");
  return made;
}

}  // namespace nibble::inline v0::detail::vulkan
