#pragma once

#include <functional>
#include <list>
#include <map>

#include "backend/vulkan/gpu.h"
#include "quant_tensor/tensor/cached.h"

namespace nibble::inline v0::detail::vulkan {

/// Views of a buffer's beginning as numbers of 32 bits and as four of them: what shaders/texels.glsl reads.
struct TexelViews {
  VkBufferView words = nullptr, quads = nullptr;
};

/// One piece of device memory with a buffer over the whole of it, which tensors share.
struct Block {
  VkDeviceMemory memory = nullptr;
  VkBuffer buffer = nullptr;
  VkDeviceSize bytes = 0;
  VkDeviceAddress address = 0;
  std::byte* mapped = nullptr;  ///< where the host sees it; null where it cannot
  bool quick_to_read = false;   ///< by the host: cached
  using Holes =
      std::map<VkDeviceSize, VkDeviceSize, std::less<>, CachedAllocator<std::pair<const VkDeviceSize, VkDeviceSize>>>;
  Holes free;                  ///< offset to size; neighbours are merged
  TexelViews texels;           ///< made when they are first asked for
  std::uint64_t last_use = 0;  ///< the last batch that used any region that has been freed since
};

/// A part of a block. Its batches say how long the device may still read or write it.
struct Region {
  Block* block = nullptr;
  VkDeviceSize offset = 0, bytes = 0;
  std::uint64_t used = 0;     ///< the last batch that reads or writes it
  std::uint64_t written = 0;  ///< the last batch that writes it

  VkDeviceAddress address() const { return block->address + offset; }
  std::byte* mapped() const { return block->mapped ? block->mapped + offset : nullptr; }
};

struct MemoryStats {
  std::uint64_t taken = 0;     ///< bytes of live regions
  std::uint64_t reserved = 0;  ///< bytes of blocks
  std::uint64_t peak = 0;      ///< the most that was taken
};

/// Hands out regions of few large blocks. A freed region may be taken again at once: commands run in order, and the one
/// that writes it anew waits for those that still read it (Commands).
class Memory {
 public:
  enum class Kind : std::uint8_t {
    device,  ///< the device's own, seen by the host where there is such memory
    host     ///< the host's, which the device can reach: for staging
  };

  explicit Memory(Gpu& gpu) : gpu_(gpu) {}
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  /// Throws Error(out_of_memory) that names the sizes.
  Region allocate(std::uint64_t bytes, Kind kind = Kind::device);
  void free(const Region& region) noexcept;
  const TexelViews& texels(Block& block);
  /// Gives blocks in which nothing is taken back to the device. No command may still use them.
  void trim() noexcept;
  const MemoryStats& stats() const { return stats_; }

 private:
  Block& add_block(std::uint64_t bytes, Kind kind);
  std::uint32_t memory_type(std::uint32_t allowed, Kind kind) const;
  /// Destroys the blocks of which `which` says so.
  template <class Which>
  void give_back(Which which) noexcept;
  static bool take(Block& block, std::uint64_t bytes, Region* out);

  Gpu& gpu_;
  std::list<Block> blocks_[2];  // by kind; a Block stays where it is
  MemoryStats stats_;
};

}  // namespace nibble::inline v0::detail::vulkan
