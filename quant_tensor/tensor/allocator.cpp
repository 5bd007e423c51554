#include "quant_tensor/tensor/allocator.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kThreadLimit = std::size_t{32} << 10;  // largest block that a thread keeps to itself
constexpr std::size_t kSharedLimit = std::size_t{64} << 20;  // largest block that is kept at all
constexpr std::size_t kSharedTotal = std::size_t{256} << 20;
constexpr int kClasses = 128;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

/// Classes grow by quarters of a power of two, from 64 bytes on: at most 25% of a block is slack.
constexpr int class_of(std::size_t bytes) {
  if (bytes <= kAlignment) return 0;
  const std::size_t units = (bytes - 1) / kAlignment;  // ≥ 1
  const int log = std::bit_width(units) - 1;
  const std::size_t quarter = log >= 2 ? units >> (log - 2) & 3 : units << (2 - log) & 3;
  return 4 * log + static_cast<int>(quarter) + 1;
}

constexpr std::size_t class_bytes(int c) {
  if (c == 0) return kAlignment;
  const int log = (c - 1) / 4, quarter = (c - 1) % 4;
  const std::size_t units = ((static_cast<std::size_t>(5 + quarter) << log) + 3) / 4;
  return units * kAlignment;
}

constexpr int kThreadClasses = class_of(kThreadLimit) + 1;

/// What is large asks for huge pages: with small ones, products that read a weight once wait for addresses to be
/// translated as long as for memory.
void* system_allocate(std::size_t bytes) {
  const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  const bool large = rounded >= 2 * kHugePage;
  void* data = nullptr;
  if (rounded < bytes ||
      posix_memalign(&data, large ? kHugePage : kAlignment, rounded == 0 ? kAlignment : rounded) != 0) {
    throw Error(ErrorCode::out_of_memory, fmt::format("[allocate] {} bytes: the host has no such memory", bytes));
  }
  if (large) ::madvise(data, rounded / kHugePage * kHugePage, MADV_HUGEPAGE);  // only a wish
  return data;
}

/// A thread's own blocks. Trivially destructible on purpose: tensors may die after the thread's other objects, and
/// `Guard` empties it.
struct ThreadCache {
  static constexpr int kDepth = 64;  // a layer of a model holds some twenty handles at a time
  static constexpr std::size_t kListBytes = kDepth * kThreadLimit / 4;
  struct List {
    std::array<void*, kDepth> blocks;
    int count;
    bool takes(std::size_t size) const { return count < kDepth && static_cast<std::size_t>(count) * size < kListBytes; }
  };
  std::array<List, kThreadClasses> lists;
  bool closed;
};
thread_local ThreadCache thread_cache;

struct Guard {
  ~Guard() {
    thread_cache.closed = true;
    for (auto& list : thread_cache.lists) {
      while (list.count > 0) std::free(list.blocks[static_cast<std::size_t>(--list.count)]);
    }
  }
};

ThreadCache::List* thread_list(int c) {
  thread_local Guard guard;
  return thread_cache.closed ? nullptr : &thread_cache.lists[static_cast<std::size_t>(c)];
}

struct SharedCache {
  std::mutex mutex;
  std::array<std::vector<void*>, kClasses> lists;
  std::size_t total = 0;
};
SharedCache& shared_cache() {
  static auto* cache = new SharedCache;  // never destroyed: static tensors may outlive any order of destruction
  return *cache;
}

}  // namespace

void* allocate_cached(std::size_t bytes) {
  if (!kAllocatorCaches || bytes > kSharedLimit) return system_allocate(bytes);
  const int c = class_of(bytes);
  const std::size_t size = class_bytes(c);
  if (size <= kThreadLimit) {
    if (auto* list = thread_list(c); list && list->count > 0)
      return list->blocks[static_cast<std::size_t>(--list->count)];
    return system_allocate(size);
  }
  {
    SharedCache& cache = shared_cache();
    const std::lock_guard lock(cache.mutex);
    auto& list = cache.lists[static_cast<std::size_t>(c)];
    if (!list.empty()) {
      void* data = list.back();
      list.pop_back();
      cache.total -= size;
      return data;
    }
  }
  return system_allocate(size);
}

void free_cached(void* data, std::size_t bytes) noexcept {
  if (!kAllocatorCaches || bytes > kSharedLimit) return std::free(data);
  const int c = class_of(bytes);
  const std::size_t size = class_bytes(c);
  if (size <= kThreadLimit) {
    if (auto* list = thread_list(c); list && list->takes(size)) {
      list->blocks[static_cast<std::size_t>(list->count++)] = data;
      return;
    }
    return std::free(data);
  }
  SharedCache& cache = shared_cache();
  const std::lock_guard lock(cache.mutex);
  if (cache.total + size > kSharedTotal) return std::free(data);
  try {
    cache.lists[static_cast<std::size_t>(c)].push_back(data);
    cache.total += size;
  } catch (const std::bad_alloc&) {
    std::free(data);
  }
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
