#include <fmt/format.h>

#include <algorithm>

#include "dispatch/fallback.h"
#include "dispatch/input_order.h"
#include "dispatch/layout.h"
#include "dispatch/product.h"
#include "dispatch/route.h"
#include "dispatch/validation.h"
#include "quant_tensor/formats/format.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace {

using namespace detail;

int packed_axis(const Tensor& x) { return x.is_quantized() ? x.packing()->axis : -1; }

/// A view whose packing lies along another axis, or begins elsewhere on its rows.
Tensor packed_view(const Tensor& x, const Shape& shape, const Strides& strides, std::int64_t offset, int axis,
                   std::int64_t begin) {
  const TensorImpl& impl = x.impl();
  if (axis == impl.packing->axis && begin == impl.packing->begin) return make_view(x, shape, strides, offset);
  auto packing = make_cached<Packing>(*impl.packing);
  packing->axis = axis;
  packing->begin = begin;
  return make_tensor({shape, strides, offset, impl.dtype, impl.storage, std::move(packing)});
}

// ---- reshape ----

/// The target with its −1 worked out.
Shape resolve_shape(const Tensor& x, const Shape& to) {
  const auto fail = [&](std::string_view rule) {
    refuse(ErrorCode::shape_mismatch, "reshape", fmt::format("x {} to {}", describe(x), to_string(to)), rule);
  };
  Shape out = to;
  int open = -1;
  Shape given = to;
  for (int a = 0; a < to.rank(); ++a) {
    if (to[a] < -1 || (to[a] == -1 && open >= 0)) fail("sizes are 0 or more, and one may be -1");
    if (to[a] == -1) {
      open = a;
      given[a] = 1;
    }
  }
  const std::int64_t known = given.numel();
  const std::int64_t n = x.numel();
  if (open >= 0) {
    if (known == 0 || n % known != 0) fail(fmt::format("{} elements do not divide into it", n));
    out[open] = n / known;
  } else if (known != n) {
    fail(fmt::format("{} elements cannot become {}", n, known));
  }
  checked_bytes("reshape", out, x.dtype());  // a size of 0 may hide others whose strides overflow
  return out;
}

Shape part(const Shape& s, int begin, int end) { return Shape(std::span(s.begin() + begin, s.begin() + end)); }
void append(Shape& s, const Shape& tail) {
  for (const std::int64_t v : tail) s.push_back(v);
}

/// The packed tensor under the new shape where that keeps the packed axis whole and the rows lie evenly; else nothing.
std::optional<Tensor> reshape_packed(const Tensor& x, const Shape& to) {
  if (x.numel() == 0) return std::nullopt;
  const TensorImpl& impl = x.impl();
  const int axis = impl.packing->axis, rank = impl.shape.rank();
  const Shape left = part(impl.shape, 0, axis), right = part(impl.shape, axis + 1, rank);
  std::int64_t before = 1;
  for (int a = 0; a < to.rank(); before *= to[a++]) {
    if (to[a] != impl.shape[axis] || before != left.numel()) continue;
    const auto l = reshape_strides(left, part(impl.strides, 0, axis), part(to, 0, a));
    const auto r = reshape_strides(right, part(impl.strides, axis + 1, rank), part(to, a + 1, to.rank()));
    if (!l || !r) return std::nullopt;
    Strides strides = *l;
    strides.push_back(0);
    append(strides, *r);
    return packed_view(x, to, strides, impl.offset, a, impl.packing->begin);
  }
  return std::nullopt;
}

// ---- slices ----

struct Range {
  std::int64_t start, count;
};
/// As Python clamps slice(start, stop, step) on an axis of n.
Range clamp_slice(std::int64_t n, std::int64_t start, std::int64_t stop, std::int64_t step) {
  const std::int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
  const auto place = [&](std::int64_t i) { return std::clamp(i < 0 ? std::max(i, -n - 1) + n : i, low, high); };
  const std::int64_t from = place(start), to = place(stop);
  const std::int64_t span = step > 0 ? to - from : from - to;
  const std::int64_t stride = step > 0 ? step : -step;
  return {from, span > 0 ? (span - 1) / stride + 1 : 0};
}

Tensor strided_slice(const Tensor& x, int axis, Range range, std::int64_t step) {
  const TensorImpl& impl = x.impl();
  Shape shape = impl.shape;
  Strides strides = impl.strides;
  shape[axis] = range.count;
  strides[axis] *= step;
  const std::int64_t offset = range.count > 0 ? impl.offset + range.start * impl.strides[axis] : impl.offset;
  return make_view(x, shape, strides, offset);
}

/// The weights [first, last) of every packed row, both at block boundaries.
Tensor slice_blocks(const Tensor& x, std::int64_t first, std::int64_t last) {
  const TensorImpl& impl = x.impl();
  const int axis = impl.packing->axis;
  Shape shape = impl.shape;
  shape[axis] = last - first;
  return packed_view(x, shape, impl.strides, impl.offset, axis, impl.packing->begin + first);
}

/// A slice along the packed axis: a view at block boundaries; else the blocks around it are decoded, and no others.
/// Entries that are stored in another order lie in any of the blocks.
Tensor slice_packed_axis(std::string_view op, const Tensor& x, Range range, std::int64_t step) {
  const int axis = x.packing()->axis;
  const std::int64_t block = x.packing()->format->block, length = x.shape()[axis];
  const std::int64_t end = range.start + range.count;
  if (step == 1 && range.count == length && length > 0) return x;
  if (has_input_order(x)) return strided_slice(dense_operand(op, x), axis, range, step);
  if (step == 1 && range.start % block == 0 && end % block == 0 && range.count > 0) {
    return slice_blocks(x, range.start, end);
  }
  const std::int64_t edge = range.start + (range.count - 1) * step;
  const std::int64_t low = std::min(range.start, edge), high = std::max(range.start, edge) + 1;
  const std::int64_t first = range.count > 0 ? low / block * block : 0;
  const std::int64_t last = range.count > 0 ? std::min((high + block - 1) / block * block, length) : 0;
  if (range.count == 0) {
    Shape shape = x.shape();
    shape[axis] = 0;
    return backend_for(x.device()).allocate(shape, x.dtype());
  }
  const Tensor dense = dense_operand(op, slice_blocks(x, first, last));
  return strided_slice(dense, axis, {range.start - first, range.count}, step);
}

Tensor slice_range(std::string_view op, const Tensor& x, int axis, Range range, std::int64_t step) {
  return axis == packed_axis(x) ? slice_packed_axis(op, x, range, step) : strided_slice(x, axis, range, step);
}

Tensor drop_axis(const Tensor& x, int axis) {
  const TensorImpl& impl = x.impl();
  Shape shape = impl.shape;
  Strides strides = impl.strides;
  shape.erase(axis);
  strides.erase(axis);
  if (!impl.packing) return make_view(x, shape, strides, impl.offset);
  const int packed = impl.packing->axis;
  return packed_view(x, shape, strides, impl.offset, packed > axis ? packed - 1 : packed, impl.packing->begin);
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  const Shape to = resolve_shape(x, shape);
  if (to == x.shape()) return x;
  if (x.is_quantized()) {
    if (auto view = reshape_packed(x, to)) return *view;
    return reshape(dense_operand("reshape", x), to);
  }
  const TensorImpl& impl = x.impl();
  if (is_contiguous(impl.shape, impl.strides)) return make_view(x, to, contiguous_strides(to), impl.offset);
  if (x.numel() > 0) {
    if (const auto strides = reshape_strides(impl.shape, impl.strides, to))
      return make_view(x, to, *strides, impl.offset);
  }
  return reshape(contiguous_dense(x), to);
}

Tensor transpose(const Tensor& x, const Axes& axes) {
  const int rank = x.ndim();
  Axes order;
  if (axes.empty()) {
    for (int a = rank - 1; a >= 0; --a) order.push_back(a);
    return permute(x, order);
  }
  unsigned seen = 0;
  for (const std::int64_t axis : axes) {
    order.push_back(normalize_axis("transpose", axis, rank));
    seen |= 1u << order.back();
  }
  if (order.rank() != rank || seen != (1u << rank) - 1) {
    refuse(ErrorCode::invalid_argument, "transpose", fmt::format("x {} by {}", describe(x), to_string(axes)),
           "every axis must be named once");
  }
  return permute(x, order);
}

Tensor swapaxes(const Tensor& x, int a, int b) {
  a = normalize_axis("swapaxes", a, x.ndim());
  b = normalize_axis("swapaxes", b, x.ndim());
  if (a == b) return x;
  Axes order;
  for (int i = 0; i < x.ndim(); ++i) order.push_back(i == a ? b : i == b ? a : i);
  return permute(x, order);
}

Tensor expand_dims(const Tensor& x, int axis) {
  axis = normalize_axis("expand_dims", axis, x.ndim() + 1);
  const TensorImpl& impl = x.impl();
  Shape shape = impl.shape;
  Strides strides = impl.strides;
  shape.insert(axis, 1);
  strides.insert(axis, 0);
  if (!impl.packing) return make_view(x, shape, strides, impl.offset);
  const int packed = impl.packing->axis;
  return packed_view(x, shape, strides, impl.offset, packed >= axis ? packed + 1 : packed, impl.packing->begin);
}

Tensor squeeze(const Tensor& x, const Axes& axes) {
  unsigned dropped = 0;
  for (const std::int64_t axis : axes) {
    const int a = normalize_axis("squeeze", axis, x.ndim());
    if (x.shape()[a] != 1) {
      refuse(ErrorCode::shape_mismatch, "squeeze", x,
             fmt::format("axis {} has {} entries, not one", axis, x.shape()[a]));
    }
    dropped |= 1u << a;
  }
  Tensor out = x;
  for (int a = x.ndim() - 1; a >= 0; --a) {
    const bool drop = axes.empty() ? x.shape()[a] == 1 : (dropped >> a & 1u) != 0;
    if (drop) out = drop_axis(a == packed_axis(out) ? dense_operand("squeeze", out) : out, a);
  }
  return out;
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  Shape common;
  if (!broadcast_shapes(x.shape(), shape, &common) || !(common == shape)) {
    refuse(ErrorCode::shape_mismatch, "broadcast_to", fmt::format("x {} to {}", describe(x), to_string(shape)),
           "shapes do not broadcast");
  }
  if (!x.is_quantized()) return broadcast_view(x, shape);
  const TensorImpl& impl = x.impl();
  const int axis = impl.packing->axis + shape.rank() - impl.shape.rank();
  if (shape[axis] != impl.shape[impl.packing->axis]) return broadcast_view(dense_operand("broadcast_to", x), shape);
  return packed_view(x, shape, broadcast_strides(impl.shape, impl.strides, shape), impl.offset, axis,
                     impl.packing->begin);
}

Tensor slice(const Tensor& x, int axis, std::int64_t start, std::int64_t stop, std::int64_t step) {
  axis = normalize_axis("slice", axis, x.ndim());
  if (step == 0) refuse(ErrorCode::invalid_argument, "slice", x, "the step must not be 0");
  return slice_range("slice", x, axis, clamp_slice(x.shape()[axis], start, stop, step), step);
}

Tensor select(const Tensor& x, int axis, std::int64_t index) {
  axis = normalize_axis("select", axis, x.ndim());
  const std::int64_t n = x.shape()[axis];
  if (index < -n || index >= n) {
    refuse(ErrorCode::out_of_range, "select", x, fmt::format("index {} of {} entries along axis {}", index, n, axis));
  }
  const Range one{index < 0 ? index + n : index, 1};
  return drop_axis(slice_range("select", x, axis, one, 1), axis);
}

Tensor contiguous(const Tensor& x) { return contiguous_dense(dense_operand("contiguous", x)); }

Tensor flip(const Tensor& x, const Axes& axes) {
  Tensor out = x;
  unsigned flipped = axes.empty() ? ~0u : 0u;
  for (const std::int64_t axis : axes) flipped |= 1u << normalize_axis("flip", axis, x.ndim());
  for (int a = 0; a < x.ndim(); ++a) {
    const std::int64_t n = x.shape()[a];
    if ((flipped >> a & 1u) != 0 && n > 1) out = slice_range("flip", out, a, {n - 1, n}, -1);
  }
  return out;
}

Tensor concatenate(std::span<const Tensor> tensors, int axis) {
  if (tensors.empty()) refuse(ErrorCode::invalid_argument, "concatenate", "no tensors", "there must be one or more");
  const Tensor& first = tensors.front();
  axis = normalize_axis("concatenate", axis, first.ndim());
  Shape shape = first.shape();
  DType dtype = first.dtype();
  for (std::size_t i = 1; i < tensors.size(); ++i) {
    const Tensor& next = tensors[i];
    Shape like = next.shape();
    if (like.rank() == shape.rank()) like[axis] = shape[axis];
    if (!(like == shape)) {
      refuse(ErrorCode::shape_mismatch, "concatenate", fmt::format("{} · {}", describe(first), describe(next)),
             fmt::format("shapes differ beside axis {}", axis));
    }
    shape[axis] += next.shape()[axis];
    dtype = promote(dtype, next.dtype());
  }
  for (const Tensor& t : tensors) require_one_device("concatenate", first, t);
  Backend& backend = route("concatenate", first);
  Tensor out = backend.allocate(shape, dtype);
  std::int64_t at = 0;
  for (const Tensor& t : tensors) {
    const std::int64_t n = t.shape()[axis];
    backend.copy(dense_operand("concatenate", t), strided_slice(out, axis, {at, n}, 1));
    at += n;
  }
  return out;
}

Tensor stack(std::span<const Tensor> tensors, int axis) {
  std::vector<Tensor> expanded;
  for (const Tensor& t : tensors) {
    if (!(t.shape() == tensors.front().shape())) {
      refuse(ErrorCode::shape_mismatch, "stack", fmt::format("{} · {}", describe(tensors.front()), describe(t)),
             "shapes differ");
    }
    expanded.push_back(expand_dims(t, axis));
  }
  if (axis < 0 && !tensors.empty()) axis += tensors.front().ndim() + 1;
  return concatenate(expanded, axis);
}

std::vector<Tensor> split(const Tensor& x, std::int64_t sections, int axis) {
  axis = normalize_axis("split", axis, x.ndim());
  const std::int64_t n = x.shape()[axis];
  if (sections < 1 || n % sections != 0) {
    refuse(ErrorCode::invalid_argument, "split", x,
           fmt::format("{} entries do not split into {} equal parts", n, sections));
  }
  std::vector<Tensor> parts;
  const std::int64_t width = n / sections;
  for (std::int64_t i = 0; i < sections; ++i) parts.push_back(slice(x, axis, i * width, (i + 1) * width));
  return parts;
}

Tensor pad(const Tensor& x, const Shape& before, const Shape& after, Scalar value) {
  const int rank = x.ndim();
  bool fits = before.rank() == rank && after.rank() == rank;
  for (int a = 0; fits && a < rank; ++a) fits = before[a] >= 0 && after[a] >= 0;
  if (!fits) {
    refuse(ErrorCode::invalid_argument, "pad",
           fmt::format("x {} by {} and {}", describe(x), to_string(before), to_string(after)),
           "there must be two counts of 0 or more for each axis");
  }
  Shape shape = x.shape();
  for (int a = 0; a < rank; ++a) shape[a] += before[a] + after[a];
  const Tensor dense = dense_operand("pad", x);
  Backend& backend = route("pad", dense);
  Tensor out = backend.allocate(shape, x.dtype());
  backend.fill(out, value);
  Tensor middle = out;
  for (int a = 0; a < rank; ++a) middle = strided_slice(middle, a, {before[a], x.shape()[a]}, 1);
  backend.copy(dense, middle);
  return out;
}

Tensor repeat(const Tensor& x, std::int64_t repeats, int axis) {
  axis = normalize_axis("repeat", axis, x.ndim());
  if (repeats < 0) refuse(ErrorCode::invalid_argument, "repeat", x, fmt::format("{} repeats", repeats));
  Shape shape = x.shape();
  shape.insert(axis + 1, repeats);
  Shape merged = x.shape();
  merged[axis] *= repeats;
  return reshape(broadcast_to(expand_dims(dense_operand("repeat", x), axis + 1), shape), merged);
}

namespace {

/// x where column − row compares to k, else 0.
Tensor triangle(std::string_view op, const Tensor& x, std::int64_t k, bool lower) {
  if (x.ndim() < 2) refuse(ErrorCode::shape_mismatch, op, x, "needs two axes or more");
  const Tensor row = expand_dims(counting(k, k + x.size(-2), DType::i64, x.device()), -1);
  const Tensor column = counting(0, x.size(-1), DType::i64, x.device());
  const Tensor dense = dense_operand(op, x);
  return where(lower ? less_equal(column, row) : greater_equal(column, row), dense,
               scalar_tensor(0, x.dtype(), x.device()));
}

}  // namespace

Tensor tril(const Tensor& x, std::int64_t k) { return triangle("tril", x, k, true); }
Tensor triu(const Tensor& x, std::int64_t k) { return triangle("triu", x, k, false); }

}  // namespace v0
}  // namespace nibble
