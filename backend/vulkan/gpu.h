#pragma once

#include <cstdint>

#include "backend/vulkan/instance.h"

namespace nibble::inline v0::detail::vulkan {

/// A logical device with the one queue that everything runs on, and the one timeline on which its batches end: batch n
/// is done when the semaphore says n.
class Gpu {
 public:
  explicit Gpu(const FoundDevice& found);
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  const FoundDevice& found() const { return found_; }
  VkDevice handle() const { return device_; }
  /// The device's own functions, without the loader's detour.
  const VolkDeviceTable& call() const { return table_; }
  std::uint32_t family() const { return family_; }

  /// Submits; the timeline reaches `batch` when the commands are done. Batches are submitted in order.
  void submit(VkCommandBuffer commands, std::uint64_t batch);
  /// Whether the batch is done.
  bool reached(std::uint64_t batch);
  /// Waits until the batch is done.
  void wait(std::uint64_t batch);

 private:
  const FoundDevice& found_;
  std::uint32_t family_ = 0;
  VkDevice device_ = nullptr;
  VolkDeviceTable table_{};
  VkQueue queue_ = nullptr;
  VkSemaphore timeline_ = nullptr;
  std::uint64_t reached_ = 0;
};

}  // namespace nibble::inline v0::detail::vulkan
