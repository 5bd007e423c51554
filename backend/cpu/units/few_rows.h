#pragma once

#include <cstdint>

#include "backend/cpu/units/unit.h"

/// The product of packed rows with a few rows of x, as decoding a token needs it: bound by memory, so every byte of w
/// is read once, in order, and little is done for it.
///
/// A lane is a block of weights. Weights are taken in chunks of `lanes / 2` blocks of 32, whose codes are brought into
/// vectors of which piece j holds a few neighbouring codes of block j. Dot products of these with x, laid out alike,
/// leave the sum of block j in lanes 2j and 2j + 1 exactly, so that one conversion and one multiplication by scales
/// serve a whole chunk.
namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

inline constexpr int kFewBlock = 32;  ///< weights that share a scale of x

/// Two packed rows against some rows of x: acc[row of w][row of x][lane] += Σ x · w over weights [begin, begin +
/// count), which are multiples of 32. Touches no other byte of the rows.
struct FewRowsProduct {
  RowBytes w[2];
  std::int64_t begin, count;
  int group;               ///< weights that share a scale of w
  const unsigned char* x;  ///< (chunk, row of x) packed
  float* acc[2];
};

inline constexpr int kFewRowsAtOnce = 4;

/// How x is rounded, and the product with it.
struct FewRowsScheme {
  std::int64_t chunk_bytes;  ///< of a packed row of x, for one chunk
  /// Rounds a row of k activations, `pitch` bytes from chunk to chunk. False where the row cannot be represented (see
  /// IntegerScheme::pack).
  bool (*pack)(const float* x, std::int64_t k, const std::uint8_t* order, std::int64_t pitch, unsigned char* packed);
  void (*multiply[kFewRowsAtOnce])(const FewRowsProduct& args);  ///< by the rows of x, less one
};

enum class FewScheme : std::uint8_t { standard, fast };

struct FewRowsKernel {
  const char* format;         ///< its name up to its group suffix
  const std::uint8_t* order;  ///< of the activations of a block, as its codes come out cheapest
  FewRowsScheme schemes[2];
};

struct FewRowsUnit {
  std::int64_t chunk;  ///< weights
  /// The sums of the lanes of n vectors.
  void (*reduce)(const float* acc, std::int64_t n, float* out);
  const FewRowsKernel* kernels;
  int kernel_count;
};

#if defined(__x86_64__)
extern const FewRowsUnit kAvx2FewRows;
extern const FewRowsUnit kAvx512FewRows;
#endif

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
