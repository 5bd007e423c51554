#include "backend/cpu/codec.h"

#include <algorithm>

#include "backend/common/executor.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/units/select.h"
#include "backend/cpu/weights.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

using cpu::kChunk;

constexpr std::int64_t kTask = 1 << 14;  // weights that are worth a thread

/// One packed row to `out`, whose elements lie `stride` apart.
void decode_row(const cpu::Unit& unit, const cpu::WeightRows& rows, std::int64_t row, std::byte* out, DType dtype,
                std::int64_t stride) {
  const cpu::Element element = cpu::element_of(dtype);
  const std::int64_t step = stride * static_cast<std::int64_t>(itemsize(dtype));
  const std::int64_t chunk = std::max(rows.cut(), kChunk / rows.cut() * rows.cut());
  float values[kChunk];
  for (std::int64_t k = 0; k < rows.length(); k += chunk) {
    const std::int64_t count = std::min(chunk, rows.length() - k);
    if (dtype == DType::f32 && stride == 1) {
      rows.values(row, k, count, reinterpret_cast<float*>(out) + k);
      continue;
    }
    rows.values(row, k, count, values);
    unit.store(values, count, out + k * step, element, stride);
  }
}

/// Element offset in a contiguous tensor of the i-th row, counting through all axes but `axis`.
std::int64_t row_offset(const Shape& shape, int axis, std::int64_t i) {
  std::int64_t offset = 0, stride = 1;
  for (int a = shape.rank() - 1; a >= 0; --a) {
    if (a != axis) {
      offset += i % shape[a] * stride;
      i /= shape[a];
    }
    stride *= shape[a];
  }
  return offset;
}

}  // namespace

void cpu_dequantize(const Tensor& packed, const Tensor& out) {
  const Packing& packing = *packed.packing();
  const Shape& shape = packed.shape();
  const std::int64_t length = shape[packing.axis];
  if (packed.numel() == 0) return;
  const cpu::Unit& unit = cpu::current_unit();
  const cpu::PackedRows rows(unit, packing, packed.numel() / length, length, 0, 1);  // numbered as in storage
  const std::int64_t stride = contiguous_strides(shape)[packing.axis];
  const auto size = static_cast<std::int64_t>(itemsize(out.dtype()));
  parallel_ranges(rows.rows(), std::max<std::int64_t>(1, kTask / length), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::byte* line = mutable_bytes(out) + row_offset(shape, packing.axis, i) * size;
      decode_row(unit, rows, storage_row(packed, i), line, out.dtype(), stride);
    }
  });
}

void cpu_take_packed(const Tensor& packed, std::span<const std::int64_t> wanted, const Tensor& out) {
  const cpu::Unit& unit = cpu::current_unit();
  const cpu::PackedRows rows(unit, packed);
  const std::int64_t length = rows.length(), line = length * static_cast<std::int64_t>(itemsize(out.dtype()));
  if (out.numel() == 0) return;
  parallel_ranges(static_cast<std::int64_t>(wanted.size()), std::max<std::int64_t>(1, kTask / length), 1,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      decode_row(unit, rows, wanted[static_cast<std::size_t>(i)], mutable_bytes(out) + i * line,
                                 out.dtype(), 1);
                    }
                  });
}

void cpu_quantize(const Tensor& w, const Format& format, std::span<const Tensor> components) {
  if (w.numel() == 0) return;
  const cpu::Unit& unit = cpu::current_unit();
  const std::int64_t length = w.shape().back(), count = w.numel() / length;
  const std::int64_t line = length * static_cast<std::int64_t>(itemsize(w.dtype()));
  const cpu::Element element = cpu::element_of(w.dtype());
  const bool by_unit = unit.quantize != nullptr && format.rule == QuantizeRule::mlx_affine;
  parallel_ranges(count, std::max<std::int64_t>(1, kTask / length), 1, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t groups = length / format.group_size;
    cpu::Scratch scratch(cpu::Scratch::need<float>(length) + cpu::Scratch::need<std::uint8_t>(length) +
                         2 * cpu::Scratch::need<float>(groups));
    float* values = scratch.get<float>(length);
    std::uint8_t* codes = scratch.get<std::uint8_t>(length);
    float* scales = scratch.get<float>(groups);
    float* biases = scratch.get<float>(groups);
    for (std::int64_t i = begin; i < end; ++i) {
      unit.load(bytes_of(w) + i * line, element, 1, length, values);
      const MutablePackedRow row = mutable_packed_row(format, components, i);
      if (by_unit) {
        unit.quantize(values, length, format.group_size, format.bits, codes, scales, biases);
        format.assemble(codes, scales, biases, length, row);
      } else {
        format.encode(values, length, row);
      }
    }
  });
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
