#pragma once

#include <cstdint>
#include <thread>
#include <unordered_map>

#include "backend/vulkan/command_pool.h"
#include "backend/vulkan/memory.h"

namespace nibble::inline v0::detail::vulkan {

/// Commands in a buffer of their own, which may be submitted again (Commands::keep), and what they touch.
struct KeptCommands : CommandPool {
  explicit KeptCommands(Gpu& gpu);
  ~KeptCommands() { end(); }
  KeptCommands(const KeptCommands&) = delete;
  KeptCommands& operator=(const KeptCommands&) = delete;

  /// Waits for them, and gives the buffer back: where threads share the device, by one at a time.
  void end() noexcept;

  Gpu& gpu;
  std::uint64_t batch = 0;  ///< as which they were submitted last
  std::thread::id recorder = std::this_thread::get_id();
  /// The regions of memory, by address. One that its tensor gave back meanwhile is not free yet.
  struct Held {
    Region region;
    bool is_given_back = false;
  };
  std::unordered_map<VkDeviceAddress, Held> held;

  /// Whether a region that is given back must wait for these commands' end.
  bool hold_back(const Region& region) noexcept;
};

}  // namespace nibble::inline v0::detail::vulkan
