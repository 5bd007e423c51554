#include "dispatch/packed.h"

#include <fmt/format.h>

#include <algorithm>

#include "dispatch/fallback.h"
#include "dispatch/input_order.h"
#include "dispatch/layout.h"
#include "dispatch/product.h"
#include "dispatch/route.h"
#include "dispatch/validation.h"
#include "nibble/error.h"
#include "nibble/ops.h"
#include "quant_tensor/formats/format.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace {

/// The format, if something can be packed in it along an axis of that length.
void require_packable(std::string_view op, const std::string& what, const detail::Format& format, const Shape& shape) {
  const auto fail = [&](ErrorCode code, const std::string& rule) {
    throw Error(code, fmt::format("[{}] {} to {}: {}", op, what, format.name, rule));
  };
  if (!format.encode) fail(ErrorCode::unsupported, "has no encoder");
  if (shape.rank() == 0) fail(ErrorCode::shape_mismatch, "a number has no axis to pack");
  if (shape.back() % format.block != 0) {
    fail(ErrorCode::shape_mismatch, fmt::format("its last axis is no multiple of {} weights", format.block));
  }
}

std::vector<Tensor> allocate_on(detail::Backend& backend, const detail::Format& format, const Shape& weights,
                                DType scales) {
  return detail::allocate_components(format, weights, scales, std::bind_front(&detail::Backend::allocate, &backend));
}

Tensor decode(const Tensor& w, DType dtype) {
  detail::Backend& backend = detail::route("dequantize", w);
  Tensor out = backend.allocate(w.shape(), dtype);
  detail::decode_into(w, out);
  return out;
}

}  // namespace

Tensor quantize(const Tensor& w, const QuantizeParams& params) {
  const detail::Format& format = detail::requested_format("quantize", params);
  require_packable("quantize", "w " + describe(w), format, w.shape());
  if (!is_arithmetic_float(w.dtype())) {
    throw Error(ErrorCode::dtype_mismatch,
                fmt::format("[quantize] w {} to {}: weights are f32, f16 or bf16", describe(w), format.name));
  }
  const Tensor dense = detail::contiguous_dense(dequantize(w));
  detail::Backend& backend = detail::route("quantize", dense);
  const std::vector<Tensor> components = allocate_on(backend, format, w.shape(), w.dtype());
  backend.quantize(dense, format, components);
  return detail::make_packed(format, components, w.shape(), w.dtype());
}

Tensor empty(const Shape& shape, std::string_view storage) {
  if (const std::optional<DType> dtype = parse_dtype(storage)) return empty(shape, *dtype);
  const detail::Format& format = detail::format_named("empty", storage);
  require_packable("empty", to_string(shape), format, shape);
  detail::Backend& backend = detail::backend_for(options().device);
  return detail::make_packed(format, allocate_on(backend, format, shape, DType::f32), shape, DType::f32, "empty");
}

Tensor dequantize(const Tensor& w, std::optional<DType> dtype) {
  const DType target = dtype.value_or(w.dtype());
  if (!w.is_quantized()) return target == w.dtype() ? w : cast(w, target);
  return is_arithmetic_float(target) ? decode(w, target) : cast(decode(w, DType::f32), target);
}

namespace detail {
namespace {

/// Where the axis of a gather stands among the rows of a packed tensor in row-major order: `before` · n · `after` rows.
struct GatherAxis {
  std::int64_t before = 1, n = 1, after = 1;
};

/// Numbers (before, indices…, after) of the rows that the indices name; one past the last row where an index is out of
/// range, so that the gather of rows refuses it.
Tensor row_numbers(const Tensor& indices, const GatherAxis& axis) {
  const Tensor wide = cast(indices, DType::i64);
  const Tensor wrapped = where(less(wide, 0), wide + axis.n, wide);
  const Tensor valid = logical_and(greater_equal(wrapped, 0), less(wrapped, axis.n));
  const std::int64_t rows = axis.before * axis.n * axis.after;
  Tensor numbers = where(valid, wrapped * axis.after, rows);
  if (axis.after != 1) numbers = expand_dims(numbers, -1) + counting(0, axis.after, DType::i64, indices.device());
  if (axis.before == 1) return numbers;
  Shape first = Shape::filled(numbers.ndim() + 1, 1);
  first[0] = axis.before;
  return reshape(counting(0, axis.before, DType::i64, indices.device()) * (axis.n * axis.after), first) + numbers;
}

}  // namespace

Tensor take_packed(const Tensor& x, const Tensor& at, int axis) {
  axis = normalize_axis("take", axis, x.ndim());
  const int packed_axis = x.packing()->axis;
  // Along the packed axis single weights are asked for, not rows.
  if (axis == packed_axis) return take(dense_operand("take", x), at, axis);

  // Rows in row-major order of the other axes, the packed one last.
  const Tensor turned = move_last(as_stored(x), packed_axis);
  const std::int64_t k = turned.size(-1);
  const int place = axis < packed_axis ? axis : axis - 1;  // of the gathered axis among the rows
  GatherAxis gather{1, x.size(axis), 1};
  for (int i = 0; i < place; ++i) gather.before *= turned.size(i);
  for (int i = place + 1; i < turned.ndim() - 1; ++i) gather.after *= turned.size(i);
  Tensor rows = reshape(turned, {gather.before * gather.n * gather.after, k}), indices = at;
  Backend& backend = route("take", rows, indices);
  // Where an index names one row, the gather wraps and checks it itself, and its message gives the index as it was.
  const Tensor numbers = gather.before == 1 && gather.after == 1 ? indices : row_numbers(indices, gather);
  Shape gathered = numbers.shape();
  gathered.push_back(k);
  Tensor out = backend.allocate(gathered, x.dtype());
  backend.take(rows, numbers, out);
  if (has_input_order(x)) out = in_axis_order(out, x);

  // The index axes stand where `axis` was, and the packed axis goes back to its place.
  Shape shape;
  for (int i = 0; i < turned.ndim(); ++i) {
    if (i != place) {
      shape.push_back(turned.size(i));
    } else {
      for (const std::int64_t size : indices.shape()) shape.push_back(size);
    }
  }
  const int home = packed_axis < axis ? packed_axis : packed_axis - 1 + indices.ndim();
  return move_back(reshape(out, shape), home);
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
