#include "dispatch/packed.h"

#include <fmt/format.h>

#include <algorithm>

#include "dispatch/fallback.h"
#include "dispatch/layout.h"
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

/// Where the axis of a gather stands among the rows of a packed tensor in row-major order: `before` · n · `after` rows.
struct GatherAxis {
  std::int64_t before = 1, n = 1, after = 1;
};

/// Numbers (before, indices…, after) of the rows that the indices name; one past the last row where an index is out of range, so that the
/// gather of rows refuses it.
Tensor row_numbers(const Tensor& indices, const GatherAxis& axis) {
  const Tensor wide = cast(indices, DType::i64);
  const Tensor wrapped = where(less(wide, 0), wide + axis.n, wide);
  const Tensor valid = logical_and(greater_equal(wrapped, 0), less(wrapped, axis.n));
  const std::int64_t rows = axis.before * axis.n * axis.after;
  Tensor numbers = where(valid, wrapped * axis.after, rows);
  if (axis.after != 1) numbers = expand_dims(numbers, -1) + arange(0, axis.after, 1, DType::i64);
  if (axis.before == 1) return numbers;
  Shape first = Shape::filled(numbers.ndim() + 1, 1);
  first[0] = axis.before;
  return reshape(arange(0, rows, axis.n * axis.after, DType::i64), first) + numbers;
}

}  // namespace

Tensor take_packed(const Tensor& x, const Tensor& indices, int axis) {
  axis = normalize_axis("take", axis, x.ndim());
  const int packed_axis = x.packing()->axis;
  // Along the packed axis single weights are asked for, not rows.
  if (axis == packed_axis) return take(dense_operand("take", x), indices, axis);

  // Rows in row-major order of the other axes, the packed one last.
  const Tensor turned = move_last(x, packed_axis);
  const std::int64_t k = turned.size(-1);
  const int place = axis < packed_axis ? axis : axis - 1;  // of the gathered axis among the rows
  GatherAxis gather{1, x.size(axis), 1};
  for (int i = 0; i < place; ++i) gather.before *= turned.size(i);
  for (int i = place + 1; i < turned.ndim() - 1; ++i) gather.after *= turned.size(i);
  const Tensor rows = reshape(turned, {gather.before * gather.n * gather.after, k});

  Backend& backend = route("take", x, indices);
  // Where an index names one row, the gather wraps and checks it itself, and its message gives the index as it was.
  const Tensor numbers = gather.before == 1 && gather.after == 1 ? indices : row_numbers(indices, gather);
  Shape gathered = numbers.shape();
  gathered.push_back(k);
  const Tensor out = backend.allocate(gathered, x.dtype());
  backend.take(rows, numbers, out);

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
