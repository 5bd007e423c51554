#pragma once

#include <array>
#include <span>
#include <vector>

#include "backend/vulkan/kept_commands.h"
#include "backend/vulkan/memory.h"
#include "backend/vulkan/profile.h"

namespace nibble::inline v0::detail::vulkan {

/// What a command reads or writes: part of a region.
struct Access {
  Region* region;
  VkDeviceAddress begin, end;
};

/// The one stream of a device: commands are recorded in order into the batch that is open, and submitted many at a
/// time. A command waits for earlier ones only where what it touches overlaps what they wrote (or write what they
/// read).
class Commands {
 public:
  explicit Commands(Gpu& gpu);
  ~Commands();
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;

  using Groups = std::array<std::uint32_t, 3>;
  void dispatch(std::string_view kernel, VkPipeline pipeline, VkPipelineLayout layout,
                std::span<const std::byte> arguments, const Groups& groups, std::span<const Access> reads,
                std::span<const Access> writes, std::span<const VkBufferView> texels = {});
  void copy(const Access& from, const Access& to);

  /// Times what is recorded from now on, or (null) no longer.
  void time_with(Profile* profile) { profile_ = profile; }

  /// What this thread records from now on goes into `kept`, until stop_keeping(), which submits it and says whether all
  /// is there. Not all is where the device was submitted something meanwhile, or is being timed.
  void keep(KeptCommands* kept);
  bool stop_keeping();
  bool is_keeping() const { return kept_ != nullptr; }
  /// Submits them once more; false, and nothing done, while the device is being timed.
  bool submit_again(KeptCommands& kept);

  /// What is recorded from now on waits for a moment of the host's; or makes it, when all that is recorded is done.
  void wait_for(Gpu::Moment moment);
  void signal(Gpu::Moment moment);
  /// The batch before whose end the host itself may write to tensors.
  std::uint64_t host_writes_until() const { return host_writes_until_; }

  /// Sends what is recorded to the device.
  void submit();
  /// Waits for a batch, submitting it first where it is the open one.
  void wait(std::uint64_t batch);
  /// Waits for everything.
  void finish();
  /// Whether a batch is done.
  bool reached(std::uint64_t batch) { return batch < open_ && gpu_.reached(batch); }

  std::uint64_t submitted() const { return open_ - 1; }

 private:
  struct Range {
    VkDeviceAddress begin, end;
  };
  static constexpr std::size_t kSlots = 4;

  VkCommandBuffer recording();
  /// Begins the batch that is open in this buffer.
  void begin(VkCommandPool pool, VkCommandBuffer buffer, VkCommandBufferUsageFlags usage);
  void order(std::span<const Access> reads, std::span<const Access> writes);
  /// Records a command by that name.
  template <class Command>
  void record(std::string_view kernel, const Command& command);
  void barrier(VkPipelineStageFlags to, VkAccessFlags access);

  Gpu& gpu_;
  std::array<CommandPool, kSlots> slots_;
  std::uint64_t open_ = 1;  // the batch that is being recorded
  std::uint64_t host_writes_until_ = 0;
  bool begun_ = false;
  bool ended_ = false;                // it waits to be submitted, and takes no more
  VkCommandBuffer buffer_ = nullptr;  // of that batch, once it has begun
  KeptCommands* kept_ = nullptr;      // whose buffer that is; null: a slot's
  VkPipeline bound_ = nullptr;        // in that batch
  Profile* profile_ = nullptr;
  int count_ = 0;                      // commands in it
  int batch_ = 0;                      // after how many it is submitted
  std::vector<Range> read_, written_;  // since the last barrier
};

}  // namespace nibble::inline v0::detail::vulkan
