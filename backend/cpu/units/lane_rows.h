#pragma once

#include <cstdint>

#include "backend/cpu/units/unit.h"

/// The product of packed rows with some rows of x, where packed rows are lanes: the codes of 32 of them turn, so that a
/// vector holds a few neighbouring codes of each row, and meet an activation of every row of x in all lanes. Sums then
/// are outputs; no lanes add up, and x passes by but once for 32 packed rows.
namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

inline constexpr int kLaneRows = 32;  ///< packed rows that are multiplied together

/// Rows [first, first + rows) of w.
struct LaneTile {
  RowBytes first;
  std::int64_t rows;  ///< at most kLaneRows; none: nothing follows
};

/// sums = x · w of a tile.
struct LaneProduct {
  LaneTile w, next;       ///< next: what memory is asked for meanwhile
  std::int64_t pitch[4];  ///< bytes from row to row, of each component
  std::int64_t begin, length;
  int group;
  Element scale;
  const unsigned char* x;  ///< (chunk, row) packed
  std::int64_t x_rows;
  float* sums;  ///< (row of x, row of w), kLaneRows of them
};

/// How x is rounded, and the product with it.
struct LaneScheme {
  std::int64_t least_rows, most_rows;  ///< of x, where this is faster than a few rows with each, and than tiles
  std::int64_t chunk;                  ///< weights
  std::int64_t chunk_bytes;            ///< of a packed row of x, for one chunk
  /// Rounds a row of k activations, `pitch` bytes from chunk to chunk, with a scale for each group of w, or a part of
  /// it. False where the row cannot be represented (see IntegerScheme::pack).
  bool (*pack)(const float* x, std::int64_t k, int group, std::int64_t pitch, unsigned char* packed);
  void (*multiply)(const LaneProduct& args);
};

struct LaneRowsKernel {
  const char* format;  ///< its name up to its group suffix
  LaneScheme standard, fast;
};

struct LaneRowsUnit {
  const LaneRowsKernel* all;
  int count;
};

#if defined(__x86_64__)
extern const LaneRowsUnit kAvx512LaneRows;
#endif

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
