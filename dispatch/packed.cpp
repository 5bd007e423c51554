#include "dispatch/packed.h"

#include <fmt/format.h>

#include <algorithm>

#include "dispatch/fallback.h"
#include "dispatch/product.h"
#include "dispatch/route.h"
#include "nibble/error.h"
#include "nibble/ops.h"
#include "quant_tensor/formats/format.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace {

bool is_weight_dtype(DType d) { return d == DType::f32 || d == DType::f16 || d == DType::bf16; }

const detail::Format& resolve(const QuantizeParams& params) {
  const detail::Format& format = detail::requested_format("quantize", params);
  if (!format.encode) throw Error(ErrorCode::unsupported, fmt::format("[quantize] {} has no encoder", format.name));
  return format;
}

Tensor decode(const Tensor& w, DType dtype) {
  detail::Backend& backend = detail::route("dequantize", w);
  Tensor out = backend.allocate(w.shape(), dtype);
  backend.dequantize(w, out);
  return out;
}

}  // namespace

Tensor quantize(const Tensor& w, const QuantizeParams& params) {
  const detail::Format& format = resolve(params);
  const auto fail = [&](ErrorCode code, const std::string& rule) {
    throw Error(code, fmt::format("[quantize] w {} to {}: {}", describe(w), format.name, rule));
  };
  if (!is_weight_dtype(w.dtype())) fail(ErrorCode::dtype_mismatch, "weights are f32, f16 or bf16");
  if (w.ndim() == 0) fail(ErrorCode::shape_mismatch, "a number has no axis to pack");
  const std::int64_t k = w.size(-1);
  if (k % format.block != 0) {
    fail(ErrorCode::shape_mismatch, fmt::format("its last axis is no multiple of {} weights", format.block));
  }
  const Tensor dense = contiguous(dequantize(w));
  detail::Backend& backend = detail::route("quantize", dense);
  std::vector<Tensor> components;
  for (std::size_t c = 0; c < format.components.size(); ++c) {
    Shape shape = detail::leading(w.shape(), 1);
    shape.push_back(format.width(static_cast<int>(c), k));
    components.push_back(backend.allocate(shape, format.components[c].is_scale ? w.dtype() : format.components[c].dtype));
  }
  backend.quantize(dense, format, components);
  return detail::make_packed(format, components, w.shape(), w.dtype());
}

Tensor dequantize(const Tensor& w, std::optional<DType> dtype) {
  const DType target = dtype.value_or(w.dtype());
  if (!w.is_quantized()) return target == w.dtype() ? w : cast(w, target);
  return is_weight_dtype(target) ? decode(w, target) : cast(decode(w, DType::f32), target);
}

namespace detail {
namespace {

/// Numbers of the `rest` rows that each index of an axis of n entries names; one past the last row where the index is out of range, so that
/// the gather of rows refuses it.
Tensor row_numbers(const Tensor& indices, std::int64_t n, std::int64_t rest) {
  const Tensor wide = cast(indices, DType::i64);
  const Tensor wrapped = where(less(wide, 0), wide + n, wide);
  const Tensor valid = logical_and(greater_equal(wrapped, 0), less(wrapped, n));
  const Tensor first = where(valid, wrapped * rest, n * rest);
  return rest == 1 ? first : expand_dims(first, -1) + arange(0, rest, 1, DType::i64);
}

}  // namespace

Tensor take_packed(const Tensor& x, const Tensor& indices, int axis) {
  axis = normalize_axis("take", axis, x.ndim());
  const int packed_axis = x.packing()->axis;
  // Along the packed axis single weights are asked for, not rows.
  if (axis == packed_axis) return take(dense_operand("take", x), indices, axis);

  Axes order{axis}, others;
  for (int i = 0; i < x.ndim(); ++i) {
    if (i != axis && i != packed_axis) others.push_back(i);
  }
  for (const std::int64_t i : others) order.push_back(i);
  order.push_back(packed_axis);
  const Tensor turned = transpose(x, order);
  const std::int64_t n = turned.size(0), k = turned.size(-1);
  const std::int64_t rest = leading(turned.shape(), 1).numel() / std::max<std::int64_t>(n, 1);
  const Tensor rows = reshape(turned, {n * rest, k});
  if (!rows.is_quantized()) return take(dense_operand("take", x), indices, axis);

  Backend& backend = route("take", x, indices);
  const Tensor numbers = row_numbers(indices, n, rest);
  Shape gathered = numbers.shape();
  gathered.push_back(k);
  const Tensor out = backend.allocate(gathered, x.dtype());
  backend.take(rows, numbers, out);

  // (indices…, others…, k) back into x's order, the index axes in the place of `axis`.
  Shape shape = indices.shape();
  for (const std::int64_t i : others) shape.push_back(x.shape()[static_cast<int>(i)]);
  shape.push_back(k);
  Axes back;
  int next_other = indices.ndim();
  for (int i = 0; i < x.ndim(); ++i) {
    if (i == packed_axis) {
      back.push_back(shape.rank() - 1);
    } else if (i != axis) {
      back.push_back(next_other++);
    } else {
      for (int j = 0; j < indices.ndim(); ++j) back.push_back(j);
    }
  }
  return transpose(reshape(out, shape), back);
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
