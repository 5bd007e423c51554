#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

/// Working memory that a thread keeps from call to call. Leases nest: a thread that waits for its own parallel loop may
/// run another caller's task in between, which then gets a block of its own.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes) : block_(take()) {
    if (block_.bytes < bytes) block_ = Block{make(bytes), bytes};
  }
  ~Scratch() {
    if (block_.bytes <= kKept) free_list().push_back(std::move(block_));
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  /// The next `count` elements, 64-byte aligned.
  template <class T>
  T* get(std::int64_t count) {
    T* result = reinterpret_cast<T*>(block_.data.get() + used_);
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
  static std::vector<Block>& free_list() {
    thread_local std::vector<Block> blocks;
    return blocks;
  }
  static Block take() {
    std::vector<Block>& blocks = free_list();
    if (blocks.empty()) return Block();
    Block block = std::move(blocks.back());
    blocks.pop_back();
    return block;
  }

  Block block_;
  std::size_t used_ = 0;
};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
