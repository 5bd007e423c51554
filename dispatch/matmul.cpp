#include <fmt/format.h>

#include "dispatch/product.h"
#include "dispatch/route.h"
#include "nibble/error.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace {

using detail::leading;

std::string operands(const Tensor& a, const Tensor& b) {
  return fmt::format("[matmul] x {} · w {}", describe(a), describe(b));
}

/// The shape of a product of two tensors of at least two axes. Pure.
Shape product_shape(const Tensor& a, const Tensor& b) {
  if (a.size(-1) != b.size(-2)) {
    throw Error(ErrorCode::shape_mismatch,
                fmt::format("{}: contracted sizes {} and {} differ", operands(a, b), a.size(-1), b.size(-2)));
  }
  Shape shape;
  if (!detail::broadcast_shapes(leading(a.shape(), 2), leading(b.shape(), 2), &shape)) {
    throw Error(ErrorCode::shape_mismatch,
                fmt::format("{}: batch shapes {} and {} do not broadcast", operands(a, b),
                            to_string(leading(a.shape(), 2)), to_string(leading(b.shape(), 2))));
  }
  shape.push_back(a.size(-2));
  shape.push_back(b.size(-1));
  return shape;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) { return matmul(a, b, options()); }

Tensor matmul(const Tensor& a, const Tensor& b, const Options& options) {
  const with in_force(options);
  detail::require_product_dtype("matmul", "x", a);
  detail::require_product_dtype("matmul", "w", b);
  if (a.ndim() == 0 || b.ndim() == 0) {
    throw Error(ErrorCode::shape_mismatch, fmt::format("{}: a product needs at least one axis", operands(a, b)));
  }
  // Vectors are a row on the left, a column on the right; the axis vanishes again from the result.
  const bool row = a.ndim() == 1, column = b.ndim() == 1;
  Tensor x = row ? expand_dims(a, 0) : a;
  Tensor w = column ? expand_dims(b, -1) : b;
  detail::Backend& backend = detail::route("matmul", x, w);
  Tensor y = backend.allocate(product_shape(x, w), promote(a.dtype(), b.dtype()));
  detail::multiply_into("matmul", x, w, y, options);
  if (column) y = squeeze(y, {-1});
  if (row) y = squeeze(y, {column ? -1 : -2});
  return y;
}

}  // namespace v0
}  // namespace nibble
