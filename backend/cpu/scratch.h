#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <list>
#include <memory>
#include <new>

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

/// Working memory that a thread keeps from call to call. Leases nest: a thread that waits for its own parallel loop may
/// run another caller's task in between, which then gets a block of its own.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes) {
    std::list<Block>& free = free_list();
    if (free.empty()) free.emplace_back();
    if (free.back().bytes < bytes) free.back() = Block{make(bytes), bytes};
    lease_.splice(lease_.end(), free, std::prev(free.end()));
  }
  ~Scratch() {
    if (lease_.front().bytes <= kKept) free_list().splice(free_list().end(), lease_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  /// The next `count` elements, 64-byte aligned.
  template <class T>
  T* get(std::int64_t count) {
    T* result = reinterpret_cast<T*>(lease_.front().data.get() + used_);
    used_ += need<T>(count);
    return result;
  }
  template <class T>
  static constexpr std::size_t need(std::int64_t count) {
    return (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
  }

 private:
  static constexpr std::size_t kKept = std::size_t{32} << 20;
  static constexpr std::size_t kHugePage = std::size_t{2} << 20;
  struct Free {
    std::align_val_t alignment;
    void operator()(std::byte* p) const { ::operator delete[](p, alignment); }
  };
  using Bytes = std::unique_ptr<std::byte[], Free>;
  struct Block {
    Bytes data{nullptr, Free{std::align_val_t{64}}};
    std::size_t bytes = 0;
  };
  /// Large blocks ask for huge pages: kernels read them again and again, and hardware prefetches no further than a
  /// page.
  static Bytes make(std::size_t bytes) {
    const bool large = bytes >= kHugePage;
    const std::align_val_t alignment{large ? kHugePage : 64};
    auto* p = static_cast<std::byte*>(::operator new[](bytes, alignment));
    if (large) madvise(p, bytes, MADV_HUGEPAGE);
    return Bytes(p, Free{alignment});
  }
  /// A list, whose nodes change hands without allocation: giving a block back cannot fail.
  static std::list<Block>& free_list() {
    thread_local std::list<Block> blocks;
    return blocks;
  }

  std::list<Block> lease_;  ///< one block
  std::size_t used_ = 0;
};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
