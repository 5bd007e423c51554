#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/cpu/units/unit.h"
#include "nibble/tensor.h"
#include "quant_tensor/formats/format.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

/// The most weights of a row that are decoded at once.
inline constexpr std::int64_t kChunk = 512;

/// f32, f16 and bf16 as units know them; other dtypes throw Error(dtype_mismatch).
Element element_of(DType dtype);

/// A dense matrix with any strides, or with rows anywhere.
struct Matrix {
  /// `row_offsets`: where each row begins, in elements from t's first; t then is one row.
  explicit Matrix(const Tensor& t, std::span<const std::int64_t> row_offsets = {});
  std::byte* at(std::int64_t row, std::int64_t column) const {
    const std::int64_t begin = offsets ? offsets[row] : row * row_stride;
    return data + (begin + column * column_stride) * size;
  }
  /// Elements that lie side by side.
  std::span<const std::byte> span(std::int64_t row, std::int64_t column, std::int64_t count) const {
    return {at(row, column), static_cast<std::size_t>(count * size)};
  }
  /// A row that may be read as it lies, as floats; else null.
  const float* floats(std::int64_t row) const {
    const auto* first = reinterpret_cast<const float*>(at(row, 0));
    const bool aligned = reinterpret_cast<std::uintptr_t>(first) % alignof(float) == 0;
    return element == Element::f32 && column_stride == 1 && aligned ? first : nullptr;
  }
  /// Asks memory for elements that are read soon; for none of rows past the last.
  void fetch(std::int64_t row, std::int64_t column, std::int64_t count) const;
  /// The rows listed; `offsets` is where they begin, to be kept as long.
  Matrix part(std::span<const std::int64_t> listed, std::vector<std::int64_t>& offsets) const;
  std::byte* data;
  Element element;
  std::int64_t size;  ///< bytes of an element
  std::int64_t rows, columns;
  std::int64_t row_stride, column_stride;
  const std::int64_t* offsets;  ///< of rows; null: the stride tells
};

inline constexpr std::int64_t kLine = 64;  ///< bytes that memory gives at once
/// No more lines than this hold `bytes` bytes.
constexpr std::int64_t lines_for(std::int64_t bytes) { return (bytes + 2 * kLine - 2) / kLine; }
/// Where the lines begin that hold `bytes` bytes of each of `rows` rows: how many it wrote to `lines`. `after`: without
/// those that begin before the bytes do.
std::int64_t lines_of(const void* first, std::int64_t bytes, std::int64_t rows, std::int64_t pitch, bool after,
                      const void** lines);

/// Neighbouring rows of weights in memory.
struct Lines {
  const void* data;
  Element element;
  std::int64_t pitch;  ///< bytes from row to row
};

/// Up to kLines neighbouring rows as CodeProduct takes them.
struct CodeLines {
  static constexpr std::int64_t kLines = 8;
  std::uint8_t codes[kLines * kCodeDepth];
  float scales[kLines * kCodeGroups], biases[kLines * kCodeGroups];
};

/// Where the same number of rows is read after some: from `row` and weight `begin` on.
struct Next {
  std::int64_t row, begin;
};

class PackedRows;

/// Rows of weights, dense or packed, that can be had as fp32 values.
class WeightRows {
 public:
  virtual ~WeightRows() = default;
  std::int64_t rows() const { return rows_; }
  std::int64_t length() const { return length_; }
  /// Places where a row may be cut.
  std::int64_t cut() const { return cut_; }
  /// Weights [begin, begin + count) of a row; begin is a multiple of cut(), count at most kChunk.
  virtual void values(std::int64_t row, std::int64_t begin, std::int64_t count, float* out) const = 0;
  /// These rows where kernels may take their codes apart from their scales; else null.
  virtual const PackedRows* as_codes() const { return nullptr; }
  /// The matrix of weights that lie side by side in memory as numbers; else null.
  virtual const Matrix* in_place() const { return nullptr; }
  /// The memory that most of weights [begin, begin + count) of a row is; empty where they do not lie side by side.
  virtual std::span<const std::byte> source(std::int64_t row, std::int64_t begin, std::int64_t count) const = 0;
  /// The lines of memory that weights [begin, begin + count) of rows [row, row + rows) are read from: how many it wrote
  /// to `lines`; of a row no more than most_lines(count). `after`: without those that weights before them share.
  virtual std::int64_t locate(std::int64_t row, std::int64_t rows, std::int64_t begin, std::int64_t count, bool after,
                              const void** lines) const = 0;
  /// Weights [begin, begin + count) of rows [row, row + rows), each to `pitch` floats after the one before. Of scales
  /// that are infinite or NaN they may differ from `values`.
  virtual void decode_rows(std::int64_t row, std::int64_t rows, std::int64_t begin, std::int64_t count,
                           std::int64_t pitch, float* out) const {
    for (std::int64_t i = 0; i < rows; ++i) values(row + i, begin, count, out + i * pitch);
  }
  virtual std::int64_t most_lines(std::int64_t count) const = 0;
  /// Asks memory for weights [begin, begin + count) of a row, as far as there are such: they are read soon.
  void fetch(std::int64_t row, std::int64_t begin, std::int64_t count) const;
  /// Weights [begin, begin + count) of rows [row, row + rows): where they lie, or decoded to `room` for (rows, kChunk)
  /// while memory is asked for those that are read next.
  virtual Lines lines(std::int64_t row, std::int64_t rows, std::int64_t begin, std::int64_t count, float* room,
                      Next next) const;
  /// The same of panel_columns rows as columns of a panel; count at most kPanelDepth. Columns past the last row hold
  /// anything.
  virtual void panel(std::int64_t row, std::int64_t begin, std::int64_t count, float* out) const;

 protected:
  WeightRows(const Unit& unit, std::int64_t rows, std::int64_t length, std::int64_t cut)
      : unit_(unit), rows_(rows), length_(length), cut_(cut) {}
  const Unit& unit_;

 private:
  std::int64_t rows_, length_, cut_;
};

class DenseRows final : public WeightRows {
 public:
  DenseRows(const Unit& unit, const Matrix& matrix)
      : WeightRows(unit, matrix.rows, matrix.columns, 1), matrix_(matrix) {}
  void values(std::int64_t row, std::int64_t begin, std::int64_t count, float* out) const override {
    unit_.load(matrix_.at(row, begin), matrix_.element, matrix_.column_stride, count, out);
  }
  const Matrix* in_place() const override { return matrix_.column_stride == 1 ? &matrix_ : nullptr; }
  std::span<const std::byte> source(std::int64_t row, std::int64_t begin, std::int64_t count) const override {
    return in_place() == nullptr ? std::span<const std::byte>{} : matrix_.span(row, begin, count);
  }
  Lines lines(std::int64_t row, std::int64_t rows, std::int64_t begin, std::int64_t count, float* room,
              Next next) const override;
  std::int64_t locate(std::int64_t row, std::int64_t rows, std::int64_t begin, std::int64_t count, bool after,
                      const void** lines) const override {
    if (in_place() == nullptr) return 0;
    return lines_of(matrix_.at(row, begin), count * matrix_.size, rows, matrix_.row_stride * matrix_.size, after,
                    lines);
  }
  std::int64_t most_lines(std::int64_t count) const override { return lines_for(count * matrix_.size); }

 private:
  const Matrix& matrix_;
};

/// The rows of a packed tensor's storage, numbered `offset + i · stride` where it is a 2-D view.
class PackedRows final : public WeightRows {
 public:
  /// Row i is storage row `first + i · step`.
  PackedRows(const Unit& unit, const Packing& packing, std::int64_t rows, std::int64_t length, std::int64_t first,
             std::int64_t step);
  /// A 2-D view (N, K) packed along K.
  PackedRows(const Unit& unit, const Tensor& w);

  const PackedRows* as_codes() const override { return has_unit_codes() ? this : nullptr; }
  const Format& format() const { return *packing_.format; }
  /// The code whose value is 0 whatever the scale; 0 where groups have biases of their own.
  int zero() const { return format().zero; }
  /// The first weight of the view along its stored rows.
  std::int64_t begin() const { return packing_.begin; }
  /// Row i; found by arithmetic alone, since a product asks for it again and again.
  RowBytes bytes(std::int64_t i) const {
    RowBytes row = origin_bytes_;
    for (std::size_t c = 0; c < components_; ++c) row.component[c] += i * pitch_[c];
    return row;
  }
  /// Bytes of component c from row to row.
  std::int64_t pitch(int c) const { return pitch_[static_cast<std::size_t>(c)]; }
  void values(std::int64_t row, std::int64_t begin, std::int64_t count, float* out) const override;
  std::span<const std::byte> source(std::int64_t row, std::int64_t begin, std::int64_t count) const override {
    return std::as_bytes(bytes(row, 0, begin, count));
  }
  void panel(std::int64_t row, std::int64_t begin, std::int64_t count, float* out) const override;

  std::vector<std::int64_t> odd_groups_by_value(std::int64_t row) const;
  /// Whether the unit has codes and scales of the format.
  bool has_unit_codes() const { return decoder_ != nullptr && decoder_->codes != nullptr; }
  /// The same as `lines`, not decoded; count at most kCodeDepth.
  void code_lines(std::int64_t row, std::int64_t rows, std::int64_t begin, std::int64_t count, CodeLines& out,
                  Next next) const;
  /// Codes of weights [begin, begin + count) of a row, one a byte, and the scale and bias of each of their groups.
  void unpack(std::int64_t row, std::int64_t begin, std::int64_t count, std::uint8_t* codes, float* scales,
              float* biases) const;

  /// The groups of a row whose scale or bias is infinite or NaN.
  std::vector<std::int64_t> odd_groups(std::int64_t row) const;
  /// Weights [begin, begin + count) of a row, multiples of cut(), by the format's own decode.
  void decode(std::int64_t i, std::int64_t begin, std::int64_t count, float* out) const {
    format().decode(row(i), packing_.begin + begin, count, out);
  }

  /// Where component c of weights [begin, begin + count) of a row lies.
  std::span<const unsigned char> bytes(std::int64_t row, int c, std::int64_t begin, std::int64_t count) const;
  /// Whether every row begins where the one before it ends.
  bool contiguous() const;
  std::int64_t locate(std::int64_t row, std::int64_t rows, std::int64_t begin, std::int64_t count, bool after,
                      const void** lines) const override;
  void decode_rows(std::int64_t row, std::int64_t rows, std::int64_t begin, std::int64_t count, std::int64_t pitch,
                   float* out) const override;
  std::int64_t most_lines(std::int64_t count) const override;
  int components() const { return static_cast<int>(components_); }

 private:
  PackedRow row(std::int64_t i) const {
    PackedRow row = origin_;
    for (std::size_t c = 0; c < components_; ++c) row.component[c] += i * pitch_[c];
    return row;
  }

  const Packing& packing_;
  const Decoder* decoder_;                                  ///< null: the format's own functions
  PackedRow origin_;                                        ///< row 0
  RowBytes origin_bytes_;                                   ///< the same for units
  std::array<std::int64_t, kMaxComponents> pitch_{};        ///< bytes of each component from row to row
  std::array<std::int64_t, kMaxComponents> block_bytes_{};  ///< of each component for a block of weights
  std::size_t components_;
};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
