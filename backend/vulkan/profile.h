#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backend/vulkan/gpu.h"

namespace nibble::inline v0::detail::vulkan {

/// The device's clock, read before and after each command.
class Profile {
 public:
  /// Throws Error(unsupported) where the queue has no clock.
  explicit Profile(Gpu& gpu);
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  void begin(VkCommandBuffer commands, std::string_view kernel);
  void end(VkCommandBuffer commands);
  /// Of all commands, which must be done.
  std::vector<KernelTime> times() const;

 private:
  static constexpr std::uint32_t kCommandsAPool = 256;
  struct Pool {
    VkQueryPool queries = nullptr;     ///< two for each command
    std::vector<std::string> kernels;  ///< of the commands so far
  };

  Gpu& gpu_;
  double seconds_a_tick_ = 0;
  std::uint64_t ticks_ = 0;  // the bits that the clock has
  std::vector<Pool> pools_;
};

}  // namespace nibble::inline v0::detail::vulkan
