#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace nibble {
inline namespace v0 {
namespace detail {

/// What stats() reports, counted where it happens.
struct Counters {
  std::atomic<std::uint64_t> bytes_dequantized{0};
  std::atomic<std::uint64_t> bytes_copied{0};
  std::atomic<std::uint64_t> bytes_moved{0};
  std::atomic<std::uint64_t> bytes_allocated{0};
  std::atomic<std::uint64_t> peak_bytes_allocated{0};
  std::atomic<std::uint64_t> ops_cpu{0};
  std::array<std::atomic<std::uint64_t>, 256> ops_vulkan{};  ///< by the device's index
};
Counters& counters() noexcept;

/// Bytes of tensor storage that live from now on, and no longer.
void count_allocated(std::uint64_t bytes) noexcept;
void count_freed(std::uint64_t bytes) noexcept;

inline void count(std::atomic<std::uint64_t>& counter, std::uint64_t n) noexcept {
  counter.fetch_add(n, std::memory_order_relaxed);
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
