#include "backend/cpu/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "backend/cpu/output.h"
#include "backend/cpu/scratch.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

constexpr int kMostPanelColumns = 64;
constexpr std::int64_t kCodesAhead = 4;  // from the row that is decoded to the one that is asked for
constexpr std::int64_t kMostGroups = kChunk / 16;

RowBytes bytes_of_row(const PackedRow& row) {
  RowBytes bytes{};
  for (std::size_t c = 0; c < row.component.size(); ++c) {
    bytes.component[c] = reinterpret_cast<const unsigned char*>(row.component[c]);
  }
  bytes.scale = element_of(row.scale_dtype);
  return bytes;
}

const Decoder* find_decoder(const Unit& unit, std::string_view format) {
  const std::string_view stem = format.substr(0, format.find('-'));
  const Decoder* end = unit.decoders + unit.decoder_count;
  const Decoder* found = std::find_if(unit.decoders, end, [&](const Decoder& d) { return d.format == stem; });
  return found == end ? nullptr : found;
}

/// Asks for bytes that are read soon.
inline void fetch_bytes(std::span<const std::byte> bytes) {
  for (std::size_t i = 0; i < bytes.size(); i += kLine) __builtin_prefetch(bytes.data() + i);
}

}  // namespace

std::int64_t lines_of(const void* first, std::int64_t bytes, std::int64_t rows, std::int64_t pitch, bool after,
                      const void** lines) {
  const void** found = lines;
  for (auto row = static_cast<const std::byte*>(first); rows > 0; --rows, row += pitch) {
    const std::int64_t skipped = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(row) % kLine);
    for (std::int64_t i = after && skipped > 0 ? kLine - skipped : -skipped; i < bytes; i += kLine) *found++ = row + i;
  }
  return found - lines;
}

Element element_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return Element::f32;
    case DType::f16: return Element::f16;
    case DType::bf16: return Element::bf16;
    default:
      throw Error(ErrorCode::dtype_mismatch, fmt::format("[cpu] {}: kernels take f32, f16 or bf16", name(dtype)));
  }
}

Matrix::Matrix(const Tensor& t, std::span<const std::int64_t> row_offsets)
    : data(mutable_bytes(t)),
      element(element_of(t.dtype())),
      size(static_cast<std::int64_t>(itemsize(t.dtype()))),
      rows(row_offsets.empty() ? t.size(0) : static_cast<std::int64_t>(row_offsets.size())),
      columns(t.size(1)),
      row_stride(t.impl().strides[0]),
      column_stride(t.impl().strides[1]),
      offsets(row_offsets.empty() ? nullptr : row_offsets.data()) {}

void Matrix::fetch(std::int64_t row, std::int64_t column, std::int64_t count) const {
  if (row < rows) fetch_bytes(span(row, column, count));
}

Matrix Matrix::part(std::span<const std::int64_t> listed, std::vector<std::int64_t>& begins) const {
  begins.clear();
  for (const std::int64_t row : listed) begins.push_back(offsets != nullptr ? offsets[row] : row * row_stride);
  Matrix some = *this;
  some.rows = static_cast<std::int64_t>(listed.size());
  some.offsets = begins.data();
  return some;
}

void WeightRows::fetch(std::int64_t row, std::int64_t begin, std::int64_t count) const {
  if (row < rows()) fetch_bytes(source(row, begin, std::min(count, length() - begin)));
}

Lines WeightRows::lines(std::int64_t row, std::int64_t rows, std::int64_t begin, std::int64_t count, float* room,
                        Next next) const {
  for (std::int64_t r = 0; r < rows; ++r) {
    fetch(next.row + r, next.begin, count);
    values(row + r, begin, count, room + r * kChunk);
  }
  return {room, Element::f32, kChunk * static_cast<std::int64_t>(sizeof(float))};
}

void WeightRows::panel(std::int64_t row, std::int64_t begin, std::int64_t count, float* out) const {
  const std::int64_t real = std::min<std::int64_t>(unit_.floats->panel_columns, rows() - row);
  Scratch scratch(Scratch::need<float>(real * kChunk));
  const Next none{rows(), begin};  // who multiplies panels asks for the next one's memory little by little
  const Lines w = lines(row, real, begin, count, scratch.get<float>(real * kChunk), none);
  unit_.floats->turn(w.data, w.element, w.pitch, real, count, out);
}

Lines DenseRows::lines(std::int64_t row, std::int64_t rows, std::int64_t begin, std::int64_t count, float* room,
                       Next next) const {
  if (in_place() == nullptr) return WeightRows::lines(row, rows, begin, count, room, next);
  return {matrix_.at(row, begin), matrix_.element, matrix_.row_stride * matrix_.size};
}

PackedRows::PackedRows(const Unit& unit, const Packing& packing, std::int64_t rows, std::int64_t length,
                       std::int64_t first, std::int64_t step)
    : WeightRows(unit, rows, length, packing.format->block),
      packing_(packing),
      decoder_(find_decoder(unit, packing.format->name)),
      origin_(packed_row(packing, first)),
      origin_bytes_(bytes_of_row(origin_)),
      components_(packing.components.size()) {
  const PackedRow next = packed_row(packing, first + step);
  for (std::size_t c = 0; c < components_; ++c) {
    pitch_[c] = next.component[c] - origin_.component[c];
    if (packing.format->components[c].of_row) continue;  // small beside the others
    block_bytes_[c] = packing.format->width(static_cast<int>(c), packing.format->block) *
                      static_cast<std::int64_t>(itemsize(packing.components[c].dtype()));
  }
}

PackedRows::PackedRows(const Unit& unit, const Tensor& w)
    : PackedRows(unit, *w.packing(), w.size(0), w.size(1), w.impl().offset, w.impl().strides[0]) {}

void PackedRows::values(std::int64_t i, std::int64_t begin, std::int64_t count, float* out) const {
  if (decoder_ == nullptr) return format().decode(row(i), packing_.begin + begin, count, out);
  if (decoder_->values != nullptr) return decoder_->values(bytes(i), packing_.begin + begin, count, out);
  std::uint8_t codes[kChunk];
  float scales[kMostGroups], biases[kMostGroups];
  unpack(i, begin, count, codes, scales, biases);
  // Of an infinite scale, scale · code + bias is NaN where the value is infinite.
  const std::int64_t groups = count / format().group_size;
  if (!all_finite(scales, groups) || !all_finite(biases, groups))
    return format().decode(row(i), packing_.begin + begin, count, out);
  unit_.expand(codes, scales, biases, zero(), count, format().group_size, out);
}

void PackedRows::decode_rows(std::int64_t row, std::int64_t rows, std::int64_t begin, std::int64_t count,
                             std::int64_t pitch, float* out) const {
  if (!has_unit_codes()) return WeightRows::decode_rows(row, rows, begin, count, pitch, out);
  const std::int64_t first = packing_.begin + begin, group = format().group_size;
  if (decoder_->floats != nullptr)
    return decoder_->floats(bytes(row), pitch_.data(), rows, first, count, group, out, pitch);
  for (std::int64_t i = row; i < row + rows; ++i, out += pitch) {
    const RowBytes packed = bytes(i);
    std::uint8_t codes[kChunk];
    float scales[kMostGroups], biases[kMostGroups];
    decoder_->codes(packed, first, count, codes);
    decoder_->scales(&packed, 1, first / group, count / group, 1, scales, biases);
    unit_.expand(codes, scales, biases, zero(), count, group, out);
  }
}

std::int64_t PackedRows::locate(std::int64_t row, std::int64_t rows, std::int64_t begin, std::int64_t count, bool after,
                                const void** lines) const {
  std::int64_t found = 0;
  for (int c = 0; c < components(); ++c) {
    const std::span<const unsigned char> first = bytes(row, c, begin, count);
    found += lines_of(first.data(), std::ssize(first), rows, pitch(c), after, lines + found);
  }
  return found;
}

void PackedRows::code_lines(std::int64_t row, std::int64_t rows, std::int64_t begin, std::int64_t count, CodeLines& out,
                            Next next) const {
  for (std::int64_t r = 0; r < rows; ++r) {
    fetch(next.row + r, next.begin, count);
    unpack(row + r, begin, count, out.codes + r * kCodeDepth, out.scales + r * kCodeGroups,
           out.biases + r * kCodeGroups);
  }
}

void PackedRows::panel(std::int64_t first, std::int64_t begin, std::int64_t count, float* out) const {
  if (!has_unit_codes()) return WeightRows::panel(first, begin, count, out);
  const std::int64_t group = format().group_size, columns = unit_.floats->panel_columns;
  RowBytes lines[kMostPanelColumns];
  std::uint8_t codes[kMostPanelColumns * kPanelDepth];
  float scales[kMostPanelColumns * kPanelDepth / 16], biases[kMostPanelColumns * kPanelDepth / 16];
  for (std::int64_t r = 0; r < columns; ++r) {
    lines[r] = bytes(std::min(first + r, rows() - 1));
    fetch(first + r + kCodesAhead, begin, count);  // into the first cache: the second has it by now
    decoder_->codes(lines[r], packing_.begin + begin, count, codes + r * kPanelDepth);
  }
  decoder_->scales(lines, static_cast<int>(columns), (packing_.begin + begin) / group, count / group, columns, scales,
                   biases);
  unit_.floats->expand({codes, scales, biases, zero(), count, group, out});
}

void PackedRows::unpack(std::int64_t i, std::int64_t begin, std::int64_t count, std::uint8_t* codes, float* scales,
                        float* biases) const {
  begin += packing_.begin;
  if (decoder_ == nullptr) return format().codes(row(i), begin, count, codes, scales, biases);
  const std::int64_t group = format().group_size;
  const RowBytes packed = bytes(i);
  decoder_->codes(packed, begin, count, codes);
  decoder_->scales(&packed, 1, begin / group, count / group, 1, scales, biases);
}

std::vector<std::int64_t> PackedRows::odd_groups(std::int64_t i) const {
  std::vector<std::int64_t> odd;
  if (format().codes == nullptr) return odd_groups_by_value(i);
  std::uint8_t codes[kChunk];
  float scales[kMostGroups], biases[kMostGroups];
  const std::int64_t group = format().group_size;
  const RowBytes packed = bytes(i);
  for (std::int64_t begin = 0; begin < length(); begin += kChunk) {
    const std::int64_t count = std::min(kChunk, length() - begin), groups = count / group;
    if (decoder_ != nullptr) {
      decoder_->scales(&packed, 1, (packing_.begin + begin) / group, groups, 1, scales, biases);
    } else {
      format().codes(row(i), packing_.begin + begin, count, codes, scales, biases);
    }
    if (all_finite(scales, groups) && all_finite(biases, groups)) continue;
    for (std::int64_t g = 0; g < groups; ++g) {
      if (!all_finite(scales + g, 1) || !all_finite(biases + g, 1)) odd.push_back(begin / group + g);
    }
  }
  return odd;
}

std::vector<std::int64_t> PackedRows::odd_groups_by_value(std::int64_t i) const {
  std::vector<std::int64_t> odd;
  float weights[kChunk];
  const std::int64_t group = format().group_size;
  for (std::int64_t begin = 0; begin < length(); begin += kChunk) {
    const std::int64_t count = std::min(kChunk, length() - begin);
    decode(i, begin, count, weights);
    for (std::int64_t k = 0; k < count; k += group) {
      if (!all_finite(weights + k, group)) odd.push_back((begin + k) / group);
    }
  }
  return odd;
}

std::span<const unsigned char> PackedRows::bytes(std::int64_t i, int c, std::int64_t begin, std::int64_t count) const {
  const auto component = static_cast<std::size_t>(c);
  const std::int64_t first = (packing_.begin + begin) / format().block * block_bytes_[component];
  const std::byte* at = origin_.component[component] + i * pitch_[component] + first;
  return {reinterpret_cast<const unsigned char*>(at),
          static_cast<std::size_t>(count / format().block * block_bytes_[component])};
}

bool PackedRows::contiguous() const {
  for (std::size_t c = 0; c < components_; ++c) {
    if (pitch_[c] != length() / format().block * block_bytes_[c]) return false;
  }
  return true;
}

std::int64_t PackedRows::most_lines(std::int64_t count) const {
  std::int64_t lines = 0;
  for (const std::int64_t bytes : block_bytes_) lines += lines_for(count / format().block * bytes);
  return lines;
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
