#pragma once

#include "backend/vulkan/gpu.h"

namespace nibble::inline v0::detail::vulkan {

/// A command buffer, and the pool that is its alone.
struct CommandPool {
  VkCommandPool pool = nullptr;
  VkCommandBuffer buffer = nullptr;
};

CommandPool make_command_pool(Gpu& gpu, VkCommandPoolCreateFlags flags);

}  // namespace nibble::inline v0::detail::vulkan
