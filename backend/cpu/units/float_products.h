#pragma once

#include <cstdint>

#include "backend/cpu/units/halves.h"

/// What an instruction set contributes to products in floating point: narrow functions, as in unit.h.
namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

/// The floating dtypes that arithmetic takes.
enum class Element : std::uint8_t { f32, f16, bf16 };

/// Steps along the contracted axis that a panel of weights has at most: few enough that it stays in the inner caches
/// while all rows of x pass by, enough that adding to sums in memory costs little beside it.
inline constexpr std::int64_t kPanelDepth = 512;

/// acc[row][c] += Σ over k of x[row][k] · panel[k][c]. A sum runs in the order of k from zero and is added at the end,
/// so its bits depend on no other row.
struct PanelProduct {
  const float* x;      ///< (rows, kPanelDepth)
  const float* panel;  ///< (k, columns)
  int columns;         ///< a multiple of a vector's lanes, up to panel_columns
  std::int64_t k;      ///< up to kPanelDepth
  std::int64_t rows;   ///< up to as many as rows_beside says
  float* acc;          ///< (rows, acc_pitch)
  std::int64_t acc_pitch;
  const void* const* ahead = nullptr;  ///< lines of memory to fetch meanwhile; then the rows of x that come next
  std::int64_t ahead_count = 0;
};

/// Rows whose sums registers hold beside so many vectors of a panel, of `sums` vectors; twelve keep both pipes busy.
constexpr int rows_beside(int sums, int vectors) { return sums / vectors < 12 ? sums / vectors : 12; }

/// A panel from the codes of as many rows as it has columns.
struct PanelCodes {
  const std::uint8_t* codes;  ///< (panel_columns, kPanelDepth)
  const float* scales;        ///< (group, panel_columns)
  const float* biases;
  int zero;            ///< the code whose value is 0; 0: biases tell
  std::int64_t count;  ///< codes of a row: a multiple of 32
  std::int64_t group;  ///< codes that share a scale: a multiple of 16
  float* panel;        ///< (count, panel_columns)
};

/// Few rows of x with rows of w as they lie in memory.
struct RowProduct {
  const float* x;
  std::int64_t x_pitch;
  std::int64_t rows;  ///< up to few_rows
  const void* w;
  Element element;
  std::int64_t w_pitch;  ///< bytes from row to row
  std::int64_t w_rows;
  std::int64_t length;  ///< of a row of w
  float* y;
  std::int64_t y_pitch;
};

/// Codes of a row that few rows of x meet at once, and groups of them.
inline constexpr std::int64_t kCodeDepth = 1024, kCodeGroups = kCodeDepth / 16;

/// Few rows of x with rows of w that are unpacked to codes.
struct CodeProduct {
  const float* x;
  std::int64_t x_pitch;
  std::int64_t rows;          ///< up to few_rows
  const std::uint8_t* codes;  ///< (w_rows, kCodeDepth)
  const float* scales;        ///< (w_rows, kCodeGroups)
  const float* biases;
  int zero;  ///< as in PanelCodes, like the next two
  std::int64_t w_rows;
  std::int64_t count;
  std::int64_t group;
  float* y;
  std::int64_t y_pitch;
};

struct FloatProducts {
  int panel_columns;  ///< outputs side by side in a panel
  int panel_rows;     ///< rows that are multiplied at once by all of them
  void (*multiply)(const PanelProduct& args);
  /// `count` weights of `rows` dense rows, `pitch` bytes apart, as columns of a panel; those that are missing repeat
  /// the last one.
  void (*turn)(const void* w, Element element, std::int64_t pitch, std::int64_t rows, std::int64_t count, float* panel);
  /// scale · code + bias, or scale · (code − zero), each step rounded, as the reference decodes.
  void (*expand)(const PanelCodes& args);

  int few_rows;
  /// y[row][n] += Σ over k of x[row][k] · w[n][k], each lane of a vector its own sum.
  void (*dot)(const RowProduct& args);
  /// The same, weights decoded as `expand` does.
  void (*dot_codes)(const CodeProduct& args);
  /// y[row][k] += Σ over n of x[row][n] · w[n][k], in the order of n.
  void (*accumulate)(const RowProduct& args);
};

extern const FloatProducts kScalarFloats;
#if defined(__x86_64__)
extern const FloatProducts kAvx2Floats;
extern const FloatProducts kAvx512Floats;
#elif defined(__aarch64__)
extern const FloatProducts kNeonFloats;
#endif

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
