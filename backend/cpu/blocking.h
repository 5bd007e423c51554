#pragma once

#include <cstdint>

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

/// Bytes of a core's data caches, and of the largest there is.
struct Caches {
  std::int64_t first, second, largest;
};
/// This machine's, read once; where nothing tells, 32 KiB, 1 MiB and 0.
const Caches& caches();

/// How loops are cut so that what they read again is near. It moves work, and no row's bits where `deterministic`.
struct Blocking {
  std::int64_t few_line;         ///< bytes of a packed row of x that few-row products repeat: in the first cache
  std::int64_t few_activations;  ///< those of some rows of x that pass by whole: a share of the second cache
  std::int64_t few_piece;        ///< of those a piece that stays in the first cache, beside sums and packed rows
  std::int64_t few_near;         ///< those of as many that stay in the first cache
  std::int64_t few_sums;         ///< those of their sums, in the first cache
  std::int64_t few_ahead;        ///< those of two packed rows that are asked for before they are read: soon in it
  std::int64_t short_sheet;      ///< bytes of codes that few rows of x pass over: read soon, so in the first cache
  std::int64_t tall_sheet;       ///< those that many rows pass over, beside their own share in the second
  std::int64_t tallest_sheet;    ///< those of as many as it may be, beside their sums
  std::int64_t ahead;            ///< those of the next weights that a waiting thread asks for: most of the second cache
  std::int64_t slab;             ///< sums of a task's outputs in fp32, in bytes: half of the second cache
};
constexpr Blocking blocking_for(const Caches& caches) {
  return {.few_line = caches.first * 3 / 4,
          .few_activations = caches.second / 4,
          .few_piece = caches.first * 5 / 12,
          .few_near = caches.first,
          .few_sums = caches.first / 4,
          .few_ahead = caches.first / 16,
          .short_sheet = caches.first / 2,
          .tall_sheet = caches.second / 16,
          .tallest_sheet = caches.second / 4,
          .ahead = caches.second * 3 / 4,
          .slab = caches.second / 2};
}
static_assert(blocking_for({32 << 10, 1 << 20, 0}).few_line == 24576);
inline Blocking blocking() { return blocking_for(caches()); }

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
