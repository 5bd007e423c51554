#pragma once

#include <cstddef>

namespace nibble {
inline namespace v0 {
namespace detail {

/// Host memory, 64-byte aligned, from free lists of the same size class: tensor programs ask for the same sizes over and over.
/// Small blocks come from the calling thread's own list, larger ones from a shared one that keeps at most 256 MiB.
/// Throws Error(out_of_memory). `bytes` must be the same in both calls.
void* allocate_cached(std::size_t bytes);
void free_cached(void* data, std::size_t bytes) noexcept;

}  // namespace detail
}  // namespace v0
}  // namespace nibble
