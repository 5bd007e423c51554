#pragma once

#include <cstdint>

#include "backend/vulkan/instance.h"
#include "nibble/vulkan.h"

namespace nibble::inline v0::detail::vulkan {

/// A logical device with the one queue that everything runs on, and the one timeline on which its batches end: batch n
/// is done when the semaphore says n.
class Gpu {
 public:
  /// `host`: handles of a device that is not nibble's own, or null.
  Gpu(const FoundDevice& found, const VulkanHandles* host);
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  const FoundDevice& found() const { return found_; }
  VkDevice handle() const { return device_; }
  /// The device's own functions, without the loader's detour.
  const VolkDeviceTable& call() const { return table_; }
  /// The same for tests, which put failures in their place.
  VolkDeviceTable& functions() { return table_; }
  std::uint32_t family() const { return family_; }

  /// A value of a timeline semaphore of the host's.
  struct Moment {
    VkSemaphore timeline;
    std::uint64_t value;
  };
  /// The next submission waits until then; or makes it then when it is done.
  void wait_before_next(Moment moment) { waits_.push_back(moment); }
  void signal_after_next(Moment moment) { signals_.push_back(moment); }

  /// Throws Error(device_lost) once the device was lost: it stays so.
  void require_alive() const;
  bool is_lost() const { return lost_; }
  /// What was recorded there can no longer run.
  void give_up() { lost_ = true; }

  /// Submits; the timeline reaches `batch` when the commands are done. Batches are submitted in order. What throws has
  /// changed nothing, unless the device is lost.
  void submit(VkCommandBuffer commands, std::uint64_t batch);
  /// Whether the batch is done.
  bool reached(std::uint64_t batch);
  /// Waits until the batch is done.
  void wait(std::uint64_t batch);

 private:
  /// Throws what went wrong; remembers a loss.
  void require(VkResult result, std::string_view what);

  const FoundDevice& found_;
  const bool own_;
  std::uint32_t family_ = 0;
  VkDevice device_ = nullptr;
  VolkDeviceTable table_{};
  VkQueue queue_ = nullptr;
  VkSemaphore timeline_ = nullptr;
  std::mutex* queue_in_use_ = nullptr;
  std::vector<Moment> waits_, signals_;
  std::uint64_t reached_ = 0;
  bool lost_ = false;
};

}  // namespace nibble::inline v0::detail::vulkan
