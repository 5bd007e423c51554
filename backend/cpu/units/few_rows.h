#pragma once

#include <cstdint>

#include "backend/cpu/units/unit.h"

/// The product of packed rows with a few rows of x: bound by memory, so every byte of w is read once, in order, and
/// little is done for it.
///
/// Weights are taken in chunks of some blocks of 32, and the codes of a block in the order in which a unit has them
/// cheapest: x is rounded and laid out alike once.
namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

inline constexpr int kFewBlock = 32;  ///< weights that share a scale of x, where groups of w are no smaller

/// Weights [begin, begin + count) of packed rows, multiples of 32. No other byte of the rows is touched.
struct RowPart {
  std::int64_t begin, count;
  int group;  ///< weights that share a scale of w
  Element scale;
  std::int64_t ahead;  ///< bytes from a chunk to what is fetched into a cache meanwhile
};

/// Neighbouring packed rows.
struct RowRun {
  RowBytes first;
  std::int64_t pitch[4];  ///< bytes from row to row, of each component
};

inline constexpr int kMostRuns = 4;  ///< that are read side by side

/// Some rows of x against `steps` packed rows of each run.
struct FewRowsProduct {
  RowRun w[kMostRuns];
  std::int64_t steps;
  /// Rows of a run that follow one another without a gap are read as one long row, `joined` in a step, so that no chunk
  /// but the last is part empty. The part is then all of the long row.
  std::int64_t joined;
  RowPart part;
  const unsigned char* x;  ///< (chunk, row) packed
  std::int64_t x_rows;
  float* sums[kMostRuns];  ///< of each run: (step, joined row, row of x, lane)
};

/// How x is rounded, and the products with it. They add up alike, so a row of x has the same bits beside any others.
struct FewRowsScheme {
  std::int64_t chunk;         ///< weights
  std::int64_t chunk_bytes;   ///< of a packed row of x, for one chunk
  const std::uint8_t* order;  ///< of activations, as their codes come out cheapest; `pack` knows what it means
  /// Rounds a row of k activations, `pitch` bytes from chunk to chunk. False where the row cannot be represented (see
  /// IntegerScheme::pack).
  bool (*pack)(const float* x, std::int64_t k, const std::uint8_t* order, std::int64_t pitch, unsigned char* packed);
  /// A packed row of some blocks `joined` times, each where the last one left off: at least a chunk, at most
  /// kMostJoinedBlocks, and together whole chunks. Null where `one` takes no joined rows.
  void (*repeat)(const unsigned char* packed, std::int64_t blocks, std::int64_t joined, unsigned char* out);
  void (*one)(const FewRowsProduct& args);   ///< sums = x · w for one row of x, of two runs
  void (*some)(const FewRowsProduct& args);  ///< sums += x · w of two runs, of rows that are not joined
  /// The same of kMostRuns, where that is faster; where it always is, `some` is null and `one` takes as many, too.
  void (*many)(const FewRowsProduct& args) = nullptr;
};

enum class FewScheme : std::uint8_t { standard, fast };

struct FewRowsKernel {
  const char* format;  ///< its name up to its group suffix
  FewRowsScheme schemes[2];
};

inline constexpr std::int64_t kMostFewRows = 16;        ///< of x at once
inline constexpr std::int64_t kMostJoinedBlocks = 256;  ///< of a row that is joined with others

struct FewRowsKernels {
  const FewRowsKernel* all;
  int count;
};

struct FewRowsUnit {
  int most_rows;        ///< of x, up to which this is faster than tiles
  int most_named_rows;  ///< the same of tiles of fp32, at fast, where codes name numbers
  /// The sums of the lanes of n vectors, `pitch` floats apart.
  void (*reduce)(const float* acc, std::int64_t pitch, std::int64_t n, float* out);
  FewRowsKernels kernels;
  const FewRowsKernels* blocks;  ///< of the formats in quant_tensor/formats/blocks
  bool side_by_side = true;      ///< whether a row of either run is read at a time, not one after the other
};

#if defined(__x86_64__)
extern const FewRowsUnit kAvx2FewRows;
extern const FewRowsKernels kAvx2FewBlocks;
extern const FewRowsUnit kAvx512FewRows;
extern const FewRowsKernels kAvx512FewBlocks;
extern const FewRowsKernels kAvx512Bf16FewFloats;
#elif defined(__aarch64__)
extern const FewRowsUnit kNeonFewRows;
extern const FewRowsKernels kNeonFewBlocks;
#endif

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
