#pragma once

#include <cstddef>

namespace nibble {
inline namespace v0 {
namespace detail {

/// Whether freed blocks are kept: not under AddressSanitizer, where a kept block would hide a use after free.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAllocatorCaches = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool kAllocatorCaches = false;
#else
inline constexpr bool kAllocatorCaches = true;
#endif
#else
inline constexpr bool kAllocatorCaches = true;
#endif

/// Host memory, 64-byte aligned, from free lists of the same size class: tensor programs ask for the same sizes over
/// and over. Small blocks come from the calling thread's own list, larger ones from a shared one that keeps at most 256
/// MiB. Throws Error(out_of_memory). `bytes` must be the same in both calls.
void* allocate_cached(std::size_t bytes);
void free_cached(void* data, std::size_t bytes) noexcept;

}  // namespace detail
}  // namespace v0
}  // namespace nibble
