#include "backend/vulkan/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "nibble/error.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

constexpr std::uint64_t kAlignment = 256;
/// What small tensors share; what is larger than a half of it has a block for itself.
constexpr std::uint64_t kBlockBytes = std::uint64_t{32} << 20;

double mebibytes(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

constexpr VkMemoryPropertyFlags kLocal = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
constexpr VkMemoryPropertyFlags kSeen = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
constexpr VkMemoryPropertyFlags kCached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
/// What wants features that are not asked for, or is no memory of buffers, or is slow.
constexpr VkMemoryPropertyFlags kOdd = VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT |
                                       VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD |
                                       VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD |
                                       VK_MEMORY_PROPERTY_RDMA_CAPABLE_BIT_NV;
/// What is asked for, best first.
constexpr VkMemoryPropertyFlags kDeviceWishes[] = {kLocal | kSeen, kLocal, kSeen, 0};
constexpr VkMemoryPropertyFlags kHostWishes[] = {kSeen | kCached, kSeen};

}  // namespace

std::uint32_t Memory::memory_type(std::uint32_t allowed, Kind kind) const {
  VkPhysicalDeviceMemoryProperties memory{};
  vkGetPhysicalDeviceMemoryProperties(gpu_.found().physical, &memory);
  // A small window into device memory is not worth having: everything must fit behind it.
  std::uint64_t largest = 0;
  for (std::uint32_t h = 0; h < memory.memoryHeapCount; ++h) {
    if (memory.memoryHeaps[h].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)
      largest = std::max(largest, memory.memoryHeaps[h].size);
  }
  const auto wishes = kind == Kind::device ? std::span<const VkMemoryPropertyFlags>(kDeviceWishes)
                                           : std::span<const VkMemoryPropertyFlags>(kHostWishes);
  for (const VkMemoryPropertyFlags wish : wishes) {
    for (std::uint32_t t = 0; t < memory.memoryTypeCount; ++t) {
      const VkMemoryType& type = memory.memoryTypes[t];
      const bool window = (wish & kLocal) && memory.memoryHeaps[type.heapIndex].size < largest;
      const bool plain = (type.propertyFlags & kOdd) == 0;
      if ((allowed >> t & 1u) && (type.propertyFlags & wish) == wish && plain && !window) return t;
    }
  }
  throw Error(ErrorCode::unsupported, fmt::format("[vulkan] {}: no memory for buffers", gpu_.found().name));
}

Block& Memory::add_block(std::uint64_t bytes, Kind kind) {
  const VolkDeviceTable& call = gpu_.call();
  Block block;
  block.bytes = bytes;
  VkBufferCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  info.size = bytes;
  info.usage = VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT | VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
               VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  if (gpu_.found().features.texels) info.usage |= VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT;
  check(call.vkCreateBuffer(gpu_.handle(), &info, nullptr, &block.buffer), "making a buffer");
  try {
    VkMemoryRequirements needs{};
    call.vkGetBufferMemoryRequirements(gpu_.handle(), block.buffer, &needs);
    VkMemoryAllocateFlagsInfo flags{};
    flags.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO;
    flags.flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT;
    VkMemoryAllocateInfo allocation{};
    allocation.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
    allocation.pNext = &flags;
    allocation.allocationSize = needs.size;
    allocation.memoryTypeIndex = memory_type(needs.memoryTypeBits, kind);
    check(call.vkAllocateMemory(gpu_.handle(), &allocation, nullptr, &block.memory), "allocating");
    check(call.vkBindBufferMemory(gpu_.handle(), block.buffer, block.memory, 0), "binding memory");

    VkPhysicalDeviceMemoryProperties memory{};
    vkGetPhysicalDeviceMemoryProperties(gpu_.found().physical, &memory);
    const VkMemoryPropertyFlags type = memory.memoryTypes[allocation.memoryTypeIndex].propertyFlags;
    block.quick_to_read = (type & kCached) != 0;
    if ((type & kSeen) == kSeen) {
      void* mapped = nullptr;
      check(call.vkMapMemory(gpu_.handle(), block.memory, 0, VK_WHOLE_SIZE, 0, &mapped), "mapping memory");
      block.mapped = static_cast<std::byte*>(mapped);
    }
  } catch (...) {
    call.vkDestroyBuffer(gpu_.handle(), block.buffer, nullptr);
    call.vkFreeMemory(gpu_.handle(), block.memory, nullptr);
    throw;
  }
  VkBufferDeviceAddressInfo where{};
  where.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO;
  where.buffer = block.buffer;
  block.address = call.vkGetBufferDeviceAddress(gpu_.handle(), &where);
  block.free[0] = bytes;
  stats_.reserved += bytes;
  return blocks_[static_cast<std::size_t>(kind)].emplace_back(std::move(block));
}

const TexelViews& Memory::texels(Block& block) {
  const std::uint64_t most = gpu_.found().features.texel_view_bytes;
  const auto make = [&](VkFormat format, std::uint64_t bytes, VkBufferView* view) {
    VkBufferViewCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO;
    info.buffer = block.buffer;
    info.format = format;
    info.range = std::min(block.bytes, bytes);
    if (!*view) check(gpu_.call().vkCreateBufferView(gpu_.handle(), &info, nullptr, view), "making a texel view");
  };
  make(VK_FORMAT_R32_UINT, most, &block.texels.words);
  make(VK_FORMAT_R32G32B32A32_UINT, 4 * most, &block.texels.quads);
  return block.texels;
}

bool Memory::take(Block& block, std::uint64_t bytes, Region* out) {
  // The smallest hole that it fits in.
  auto best = block.free.end();
  for (auto hole = block.free.begin(); hole != block.free.end(); ++hole) {
    if (hole->second >= bytes && (best == block.free.end() || hole->second < best->second)) best = hole;
  }
  if (best == block.free.end()) return false;
  const auto [offset, size] = *best;
  block.free.erase(best);
  if (size > bytes) block.free[offset + bytes] = size - bytes;
  // What lay here before may still be in use: the new owner inherits that.
  *out = {&block, offset, bytes, block.last_use, 0};
  return true;
}

Region Memory::allocate(std::uint64_t bytes, Kind kind) {
  const std::uint64_t size = std::max((bytes + kAlignment - 1) / kAlignment * kAlignment, kAlignment);
  std::list<Block>& blocks = blocks_[static_cast<std::size_t>(kind)];
  if (const std::uint64_t most = gpu_.found().features.largest_buffer; size > most) {
    throw Error(ErrorCode::out_of_memory,
                fmt::format("[allocate] {:.1f} MiB on {}: no buffer there is larger than {:.1f} MiB", mebibytes(size),
                            gpu_.found().name, mebibytes(most)));
  }
  Region region;
  bool found = std::any_of(blocks.begin(), blocks.end(), [&](Block& block) { return take(block, size, &region); });
  if (!found) {
    try {
      found = take(add_block(size > kBlockBytes / 2 ? size : kBlockBytes, kind), size, &region);
    } catch (const Error& e) {
      if (e.code() != ErrorCode::out_of_memory) throw;
      throw Error(
          ErrorCode::out_of_memory,
          fmt::format("[allocate] {:.1f} MiB on {}: out of device memory; tensors take {:.1f} MiB of {:.1f} MiB",
                      mebibytes(size), gpu_.found().name, mebibytes(stats_.taken),
                      mebibytes(gpu_.found().memory_bytes)));
    }
  }
  stats_.taken += size;
  stats_.peak = std::max(stats_.peak, stats_.taken);
  return region;
}

void Memory::free(const Region& region) noexcept {
  Block& block = *region.block;
  block.last_use = std::max(block.last_use, region.used);
  stats_.taken -= region.bytes;
  auto hole = block.free.emplace(region.offset, region.bytes).first;
  if (const auto next = std::next(hole); next != block.free.end() && hole->first + hole->second == next->first) {
    hole->second += next->second;
    block.free.erase(next);
  }
  if (hole != block.free.begin()) {
    const auto before = std::prev(hole);
    if (before->first + before->second == hole->first) {
      before->second += hole->second;
      block.free.erase(hole);
    }
  }
}

Memory::~Memory() {
  give_back([](const Block&) { return true; });
}

void Memory::trim() noexcept {
  give_back([](const Block& block) { return !block.free.empty() && block.free.begin()->second == block.bytes; });
}

template <class Which>
void Memory::give_back(Which which) noexcept {
  for (std::list<Block>& blocks : blocks_) {
    blocks.remove_if([&](const Block& block) {
      if (!which(block)) return false;
      gpu_.call().vkDestroyBufferView(gpu_.handle(), block.texels.words, nullptr);
      gpu_.call().vkDestroyBufferView(gpu_.handle(), block.texels.quads, nullptr);
      gpu_.call().vkDestroyBuffer(gpu_.handle(), block.buffer, nullptr);
      gpu_.call().vkFreeMemory(gpu_.handle(), block.memory, nullptr);
      stats_.reserved -= block.bytes;
      return true;
    });
  }
}

}  // namespace nibble::inline v0::detail::vulkan
