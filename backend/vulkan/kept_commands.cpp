#include "backend/vulkan/kept_commands.h"

#include <utility>

#include "nibble/error.h"

namespace nibble::inline v0::detail::vulkan {

KeptCommands::KeptCommands(Gpu& of) : CommandPool(make_command_pool(of, 0)), gpu(of) {}

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
