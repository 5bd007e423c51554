#pragma once

#include <cstdint>

#include "backend/cpu/units/float_products.h"

/// What one instruction set contributes: a table of narrow functions. Each is stateless, allocates nothing, starts no
/// thread and computes any portion of the output. The loops, blocking and threads around them are in
/// backend/cpu/matmul.cpp, once for all.
///
/// A unit's source is compiled for its instruction set, so nothing with external linkage may be emitted there but its
/// table: an AVX-512 copy of an inline function of the standard library could be linked for everybody. Hence the plain
/// structs.
namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

/// One packed row: its components' bytes, and the dtype of scales where the format leaves that open.
struct RowBytes {
  const unsigned char* component[4];
  Element scale;
};

/// How a format is unpacked where the scalar reference is too slow: 64 codes to bytes, and their scales.
struct Decoder {
  const char* format;  ///< the format's name up to its group suffix: "affine4", "q4_0"
  /// Codes of weights [begin, begin + count) of a row, one a byte; both are multiples of the format's block. Touches no
  /// other byte of the row.
  void (*codes)(const RowBytes& row, std::int64_t begin, std::int64_t count, std::uint8_t* codes) = nullptr;
  /// Scale and bias of groups [begin, begin + count) of `n` rows; group g of row r goes to [(g - begin) · pitch + r].
  void (*scales)(const RowBytes* rows, int n, std::int64_t begin, std::int64_t count, std::int64_t pitch, float* scales,
                 float* biases) = nullptr;
  /// Of formats whose values are no scaled integers, in place of the two: weights [begin, begin + count) of a row.
  void (*values)(const RowBytes& row, std::int64_t begin, std::int64_t count, float* out) = nullptr;
  /// In one pass what codes, scales and Unit::expand do in turn, where the unit has something faster: those weights of
  /// `rows` rows whose components lie pitch[c] bytes apart, each row `out_pitch` floats after the one before. Of
  /// infinite scales values may differ.
  void (*floats)(RowBytes row, const std::int64_t* pitch, std::int64_t rows, std::int64_t begin, std::int64_t count,
                 std::int64_t group, float* out, std::int64_t out_pitch) = nullptr;
};

/// acc[panel][row][lane] += Σ over blocks of x · w. A panel is a vector of rows of x, a row a lane.
struct IntegerProduct {
  const unsigned char* x;  ///< (panel, step, part, lane, 4 bytes): quantized by `pack`, then transposed; at block 0
  std::int64_t x_panel;    ///< bytes from panel to panel
  const float* x_scale;    ///< (panel, block, lane): the unit of a quantized activation
  /// (panel, block, lane): the exact sum of the rounded activations, times their unit; where there is a zero, the int32
  /// of that sum, times −zero, instead.
  const float* x_sum;
  std::int64_t x_blocks;  ///< blocks from panel to panel of the two
  std::int64_t panels;
  const std::uint8_t* codes;  ///< (row, code), of the scheme's `code_bytes`
  std::int64_t code_pitch;    ///< bytes from row to row
  int zero;                   ///< the code whose value is 0; 0: biases tell
  const float* scales;        ///< (row, group)
  const float* biases;        ///< not read where there is a zero
  std::int64_t groups;        ///< from row to row of the two
  int bits;                   ///< of a code
  int block;                  ///< weights that share x_scale: 16, 32 or 64
  int group_shift;            ///< log2 of the blocks in a group
  std::int64_t blocks;
  std::int64_t rows;  ///< of w, a multiple of the scheme's
  float* acc;
  std::int64_t acc_panel;    ///< floats from panel to panel
  const void* const* ahead;  ///< lines of memory to fetch meanwhile
  std::int64_t ahead_count;
};

/// An activation scheme of integers: how x is rounded, and the product with it.
struct IntegerScheme {
  int bytes;  ///< of one activation
  int step;   ///< bytes from one activation to the next
  /// Rounds a row of k activations. False where the row cannot be represented (not finite, of extreme magnitude, or
  /// off by more than the precision allows): it must take a more precise path.
  bool (*pack)(const float* x, std::int64_t k, int block, int zero, unsigned char* q, float* scale, float* sum);
  void (*multiply)(const IntegerProduct& args);
  int code_bytes;  ///< of a code in IntegerProduct
  int rows;        ///< of w that are multiplied at once
  int most_bits;   ///< of a code that it can take
};

/// Integer schemes by instructions that multiply matrices, of processors that have them beside what their unit needs.
struct MatrixIntegers {
  IntegerScheme standard;
  IntegerScheme fast;
  bool (*runs_here)();
};

/// out[i] = f(x[i]) for n floats that do not overlap: the functions of math.h that models spend time in.
struct FloatFunctions {
  using Of = void (*)(const float* x, std::int64_t n, float* out);
  Of exp, sigmoid, silu, gelu, gelu_tanh;
};

struct FewRowsKernels;
struct FewRowsUnit;
struct LaneRowsUnit;
struct AttentionUnit;
struct PanelKernel;
struct Probes;

/// Products of bf16 with bf16, of processors that have instructions for them beside what their unit needs: in a
/// PanelProduct each float is then the place of two neighbouring steps, the even one low. Sums are fp32; denormals
/// count as zeros.
struct Bf16Unit {
  bool (*runs_here)();
  void (*multiply)(const PanelProduct& args);
  const PanelKernel* attention;  ///< of precision fast; null where there is none
  const Probes* probes;          ///< null where there are none
  /// Of formats that few rows of x meet as bf16, which the unit's own `few_rows` have, too; null where there are none.
  const FewRowsKernels* few_rows = nullptr;
};

struct Unit {
  const char* name;
  int lanes;  ///< floats in a vector

  const Decoder* decoders;
  int decoder_count;

  /// `n` elements `stride` apart, to and from fp32 (rounding to nearest even).
  void (*load)(const void* in, Element element, std::int64_t stride, std::int64_t n, float* out);
  /// Storing tells whether all numbers were finite.
  bool (*store)(const float* in, std::int64_t n, void* out, Element element, std::int64_t stride);
  /// scale · code + bias, product and sum each rounded, as the reference decodes; where there is a zero, scale ·
  /// (code − zero). Count and group are multiples of 16.
  void (*expand)(const std::uint8_t* codes, const float* scales, const float* biases, int zero, std::int64_t count,
                 std::int64_t group, float* out);
  /// `lanes` rows of `words` 32-bit words into as many rows of `lanes` words; pitches in bytes.
  void (*transpose)(const void* in, std::int64_t in_pitch, std::int64_t words, void* out, std::int64_t out_pitch);

  FloatFunctions functions;

  IntegerScheme standard;
  IntegerScheme fast;  ///< empty where it would not be faster

  const FloatProducts* floats;
  const FewRowsUnit* few_rows;  ///< products with few rows of x; null where there are none
  const AttentionUnit* attention;
  const Probes* probes;
  /// `count` weights in MLX's affine format: codes, one a byte, and the scale and bias of each group, as the format's
  /// own encoder chooses them. Null where that one serves.
  void (*quantize)(const float* weights, std::int64_t count, int group, int bits, std::uint8_t* codes, float* scales,
                   float* biases) = nullptr;
  const Bf16Unit* bf16 = nullptr;            ///< null where there is none
  const MatrixIntegers* matrices = nullptr;  ///< null where there are none
  const LaneRowsUnit* lane_rows = nullptr;   ///< products with some rows of x; null where there are none
};

extern const Unit kScalarUnit;
#if defined(__x86_64__)
extern const Unit kAvx2Unit;
extern const Unit kAvx512Unit;
extern const Bf16Unit kAvx512Bf16;
#elif defined(__aarch64__)
extern const Unit kNeonUnit;
extern const MatrixIntegers kNeonI8mmMatrices;
extern const Bf16Unit kNeonBf16;
#endif

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
