#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "nibble/dtype.h"
#include "quant_tensor/formats/format.h"
#include "quant_tensor/tensor/tensor_impl.h"

/// Random operands of any layout, and their values in fp64, for tests of kernels and codecs.
namespace nibble_test {

namespace nb = nibble;
using nb::DType;
using nb::Tensor;
using Random = std::mt19937;

inline int pick(Random& random, int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); }
template <class T>
const T& choose(Random& random, const std::vector<T>& from) {
  return from[static_cast<std::size_t>(pick(random, 0, static_cast<int>(from.size()) - 1))];
}

inline double read(const Tensor& t, std::int64_t element) {
  switch (t.dtype()) {
    case DType::f16: return static_cast<float>(nb::detail::data_of<nb::float16>(t)[element]);
    case DType::bf16: return static_cast<float>(nb::detail::data_of<nb::bfloat16>(t)[element]);
    default: return nb::detail::data_of<float>(t)[element];
  }
}
inline double read(const Tensor& t, std::int64_t i, std::int64_t j) {
  return read(t, i * t.impl().strides[0] + j * t.impl().strides[1]);
}
inline void write(const Tensor& t, std::int64_t element, float value) {
  switch (t.dtype()) {
    case DType::f16: nb::detail::mutable_data<nb::float16>(t)[element] = nb::float16(value); break;
    case DType::bf16: nb::detail::mutable_data<nb::bfloat16>(t)[element] = nb::bfloat16(value); break;
    default: nb::detail::mutable_data<float>(t)[element] = value;
  }
}

enum class Layout { contiguous, transposed, gaps, broadcast_rows, reversed };
enum class Values { gaussian, outliers };

/// A dense matrix whose elements lie in a buffer with `kGuard` everywhere else.
inline constexpr float kGuard = -29952;  // exact in all three dtypes, and no sum comes near it
inline Tensor dense_matrix(std::int64_t rows, std::int64_t columns, DType dtype, Layout layout) {
  const std::int64_t spread_rows = 2 * rows + 1, spread_columns = 3 * columns + 2;
  const Tensor base = nb::detail::make_dense({spread_rows * spread_columns + 8}, dtype);
  for (std::int64_t i = 0; i < base.numel(); ++i) write(base, i, kGuard);
  switch (layout) {
    case Layout::contiguous: return nb::detail::make_view(base, {rows, columns}, {columns, 1}, 3);
    case Layout::transposed: return nb::detail::make_view(base, {rows, columns}, {1, rows}, 1);
    case Layout::gaps: return nb::detail::make_view(base, {rows, columns}, {2 * spread_columns, 3}, 2);
    case Layout::broadcast_rows: return nb::detail::make_view(base, {rows, columns}, {0, 1}, 5);
    case Layout::reversed:
      return nb::detail::make_view(base, {rows, columns}, {-columns, -1},
                                   std::max<std::int64_t>(rows * columns - 1, 0));
  }
  return base;
}
/// How many elements of the buffer under `t` still hold the guard.
inline std::int64_t guards(const Tensor& t) {
  const auto count = static_cast<std::int64_t>(t.impl().storage->bytes() / nb::itemsize(t.dtype()));
  const Tensor whole = nb::detail::make_view(t, {count}, {1}, 0);
  std::int64_t found = 0;
  for (std::int64_t i = 0; i < count; ++i) found += read(whole, i) == static_cast<double>(kGuard);
  return found;
}

/// Normal numbers; `outliers` multiplies two columns by 100.
inline void fill_normal(const Tensor& t, Random& random, Values values, float deviation = 1) {
  std::normal_distribution<float> normal(0, deviation);
  const std::int64_t columns = t.size(1);
  const std::int64_t loud[] = {pick(random, 0, static_cast<int>(columns) - 1),
                               pick(random, 0, static_cast<int>(columns) - 1)};
  for (std::int64_t i = 0; i < t.size(0); ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      const bool is_loud = values == Values::outliers && (j == loud[0] || j == loud[1]);
      write(t, i * t.impl().strides[0] + j * t.impl().strides[1], normal(random) * (is_loud ? 100.f : 1.f));
    }
  }
}
inline std::vector<double> values_of(const Tensor& t) {
  std::vector<double> out;
  out.reserve(static_cast<std::size_t>(t.numel()));
  for (std::int64_t i = 0; i < t.size(0); ++i)
    for (std::int64_t j = 0; j < t.size(1); ++j) out.push_back(read(t, i, j));
  return out;
}

/// A block of a format without an encoder: any bits that decode to weights of a usual size.
inline std::vector<std::byte> random_block(const nb::detail::Format& format, Random& random) {
  std::vector<std::byte> block(static_cast<std::size_t>(format.width(0, format.block)));
  std::vector<float> values(static_cast<std::size_t>(format.block));
  nb::detail::PackedRow row;
  row.component[0] = block.data();
  while (true) {
    for (std::byte& byte : block) byte = static_cast<std::byte>(pick(random, 0, 255));
    format.decode(row, 0, format.block, values.data());
    float most = 0;
    for (const float v : values) most = std::isnan(v) ? v : std::max(most, std::abs(v));
    if (most > 1e-3f && most < 0.5f) return block;
  }
}

/// A packed matrix of normal weights, some groups constant or zero. A search for scales is slow: there the first rows
/// come again and again.
inline Tensor packed_matrix(const nb::detail::Format& format, std::int64_t rows, std::int64_t length, DType scales,
                            Random& random) {
  std::vector<Tensor> components = nb::detail::allocate_components(format, {rows, length}, scales);
  std::normal_distribution<float> normal(0, 0.05f);
  std::vector<float> line(static_cast<std::size_t>(length));
  constexpr std::int64_t kSearched = 8;
  std::vector<std::vector<std::byte>> blocks;
  for (int i = 0; i < 4 && !format.encode; ++i) blocks.push_back(random_block(format, random));
  for (std::int64_t r = 0; r < rows; ++r) {
    const nb::detail::MutablePackedRow row = nb::detail::mutable_packed_row(format, components, r);
    if (!format.encode) {
      std::byte* out = row.component[0];
      for (std::int64_t k = 0; k < length; k += format.block)
        out = std::copy_n(choose(random, blocks).data(), blocks[0].size(), out);
      continue;
    }
    if (r >= kSearched && format.rule == nb::detail::QuantizeRule::search) {
      const nb::detail::MutablePackedRow before = nb::detail::mutable_packed_row(format, components, r - kSearched);
      for (std::size_t c = 0; c < components.size(); ++c) {
        std::copy_n(before.component[c], components[c].nbytes() / static_cast<std::uint64_t>(rows), row.component[c]);
      }
      continue;
    }
    for (std::int64_t k = 0; k < length; ++k) line[static_cast<std::size_t>(k)] = normal(random);
    if (pick(random, 0, 3) == 0 && length > 0) {
      std::fill_n(line.begin(), format.group_size, pick(random, 0, 1) == 0 ? 0.f : -0.25f);
    }
    format.encode(line.data(), length, row);
  }
  return nb::detail::make_packed(format, components, {rows, length}, DType::f32);
}
/// A 2-D view of packed rows: from storage row `first` in steps of `step`, weights [begin, begin + length).
inline Tensor packed_view(const Tensor& packed, std::int64_t first, std::int64_t step, std::int64_t rows,
                          std::int64_t begin, std::int64_t length) {
  auto packing = std::make_shared<nb::Packing>(*packed.packing());
  packing->begin = begin;
  return nb::detail::make_tensor({{rows, length}, {step, 0}, first, DType::f32, nullptr, std::move(packing)});
}
/// The reference decode of a 2-D packed view.
inline std::vector<float> decoded(const Tensor& packed) {
  const nb::Packing& packing = *packed.packing();
  const std::int64_t rows = packed.size(0), length = packed.size(1);
  std::vector<float> out(static_cast<std::size_t>(rows * length));
  for (std::int64_t r = 0; r < rows; ++r) {
    const auto row = nb::detail::packed_row(packing, packed.impl().offset + r * packed.impl().strides[0]);
    if (length > 0) packing.format->decode(row, packing.begin, length, out.data() + r * length);
  }
  return out;
}

}  // namespace nibble_test
