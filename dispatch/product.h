#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// y = a · b for a (…, M, K), b (…, K, N) that fit each other, written into `y` (…, M, N), whose batch axes are the
/// broadcast of theirs. Any operand may be packed along any axis; this is where the packed operand is found, its
/// orientation named, and the kernel chosen.
void multiply_into(std::string_view op, const Tensor& a, const Tensor& b, const Tensor& y, const Options& options);

/// Rows of x that one of many matrices multiplies, and the rows of y that this makes.
struct RowGroup {
  std::int64_t matrix;
  std::span<const std::int64_t> x_rows, y_rows;  ///< where they begin, in elements from the first of x and of y
  std::span<const std::int64_t> x_numbers;       ///< which of the distinct rows of x each is
};

/// Every group's product, for w (matrices, K, N); all of them share the threads. x is dense with rows of K anywhere, y
/// contiguous with rows of N; of their shapes only the last axis counts. `distinct` is where the rows of x begin that
/// groups take, each once.
void multiply_groups(std::string_view op, const Tensor& x, const Tensor& w, const Tensor& y,
                     std::span<const RowGroup> groups, std::span<const std::int64_t> distinct, const Options& options);

/// The shape that two batch shapes broadcast to; false where they do not.
bool broadcast_shapes(const Shape& a, const Shape& b, Shape* out);

/// `x` with all but its last `keep` axes, and the axes from there.
Shape leading(const Shape& shape, int keep);

/// Refuses what no product takes: integers, f64 and 8-bit floats. Names the operand.
void require_product_dtype(std::string_view op, const char* operand, const Tensor& t);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
