#include <fmt/format.h>

#include <algorithm>

#include "dispatch/fallback.h"
#include "dispatch/product.h"
#include "dispatch/route.h"
#include "nibble/error.h"
#include "nibble/ops.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace {

/// The axes of one operand of a general product by their part in it, in the order that the result gives them.
struct Roles {
  Axes batch, free, contracted;
};

bool contains(const Axes& axes, std::int64_t axis) { return std::find(axes.begin(), axes.end(), axis) != axes.end(); }

Axes normalized(const Tensor& t, const Axes& axes) {
  Axes out;
  for (const std::int64_t axis : axes) {
    const int a = detail::normalize_axis("dot", axis, t.ndim());
    if (contains(out, a)) {
      throw Error(ErrorCode::invalid_argument, fmt::format("[dot] {}: axis {} named twice", describe(t), axis));
    }
    out.push_back(a);
  }
  return out;
}

Roles roles_of(const Tensor& t, const Axes& contracted, const Axes& batch) {
  Roles roles{normalized(t, batch), {}, normalized(t, contracted)};
  for (int i = 0; i < t.ndim(); ++i) {
    const bool is_batch = contains(roles.batch, i), is_contracted = contains(roles.contracted, i);
    if (is_batch && is_contracted) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("[dot] {}: axis {} is named both as contracted and as batch", describe(t), i));
    }
    if (!is_batch && !is_contracted) roles.free.push_back(i);
  }
  return roles;
}

void require_pairs(const char* role, const Tensor& a, const Axes& axes_a, const Tensor& b, const Axes& axes_b) {
  const auto fail = [&](const std::string& rule) {
    throw Error(ErrorCode::shape_mismatch, fmt::format("[dot] x {} · w {}: {}", describe(a), describe(b), rule));
  };
  if (axes_a.rank() != axes_b.rank()) fail(fmt::format("{} and {} {} axes", axes_a.rank(), axes_b.rank(), role));
  for (int i = 0; i < axes_a.rank(); ++i) {
    const std::int64_t sa = a.shape()[static_cast<int>(axes_a[i])], sb = b.shape()[static_cast<int>(axes_b[i])];
    if (sa != sb) fail(fmt::format("{} sizes {} and {} differ", role, sa, sb));
  }
}

std::int64_t extent(const Tensor& t, const Axes& axes) {
  std::int64_t n = 1;
  for (const std::int64_t axis : axes) n *= t.shape()[static_cast<int>(axis)];
  return n;
}

void append_sizes(Shape* shape, const Tensor& t, const Axes& axes) {
  for (const std::int64_t axis : axes) shape->push_back(t.shape()[static_cast<int>(axis)]);
}

/// t as (batch, rows, columns), each the product of the axes named. A packed tensor whose packed axis would have to be
/// merged with another has no such view and is decoded.
Tensor as_matrices(const Tensor& t, const Axes& batch, const Axes& rows, const Axes& columns) {
  Axes order = batch;
  for (const std::int64_t axis : rows) order.push_back(axis);
  for (const std::int64_t axis : columns) order.push_back(axis);
  const Shape shape{extent(t, batch), extent(t, rows), extent(t, columns)};
  const auto alone = [&](const Axes& axes) { return contains(axes, t.packing()->axis) && axes.rank() == 1; };
  const bool viewable = !t.is_quantized() || alone(rows) || alone(columns) || alone(batch);
  return reshape(transpose(viewable ? t : detail::dense_operand("dot", t), order), shape);
}

}  // namespace

Tensor dot(const Tensor& a, const Axes& axes_a, const Axes& batch_a, const Tensor& b, const Axes& axes_b,
           const Axes& batch_b) {
  detail::require_product_dtype("dot", "x", a);
  detail::require_product_dtype("dot", "w", b);
  const Roles ra = roles_of(a, axes_a, batch_a), rb = roles_of(b, axes_b, batch_b);
  require_pairs("contracted", a, ra.contracted, b, rb.contracted);
  require_pairs("batch", a, ra.batch, b, rb.batch);
  Shape shape;
  append_sizes(&shape, a, ra.batch);
  append_sizes(&shape, a, ra.free);
  append_sizes(&shape, b, rb.free);
  const std::int64_t batch = extent(a, ra.batch);
  Tensor x = as_matrices(a, ra.batch, ra.free, ra.contracted);
  // Weights as rows of outputs, the way they are stored, and turned by a view.
  Tensor w = swapaxes(as_matrices(b, rb.batch, rb.free, rb.contracted), 1, 2);
  detail::Backend& backend = detail::route("dot", x, w);
  const Tensor y = backend.allocate({batch, extent(a, ra.free), extent(b, rb.free)}, promote(a.dtype(), b.dtype()));
  detail::multiply_into("dot", x, w, y, options());
  return reshape(y, shape);
}

Tensor dot(const Tensor& a, const Tensor& b) {
  if (a.ndim() == 0 || b.ndim() == 0) return multiply(a, b);
  return dot(a, {-1}, {}, b, {b.ndim() == 1 ? -1 : -2}, {});
}

}  // namespace v0
}  // namespace nibble
