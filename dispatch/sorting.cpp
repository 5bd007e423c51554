#include <fmt/format.h>

#include <limits>

#include "dispatch/fallback.h"
#include "dispatch/layout.h"
#include "dispatch/route.h"
#include "dispatch/validation.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace {

using namespace detail;

/// The first k along the axis in order: what is asked for of values and indices.
TopK ordered(std::string_view op, const Tensor& x, std::int64_t k, int axis, bool descending, bool want_values,
             bool want_indices) {
  const Tensor in = move_last(dense_operand(op, x), axis);
  Backend& backend = route(op, in);
  Shape shape = in.shape();
  shape[in.ndim() - 1] = k;
  TopK out;
  if (want_values) out.values = backend.allocate(shape, x.dtype());
  if (want_indices) out.indices = backend.allocate(shape, DType::i32);
  backend.sort(in, descending, out.values, out.indices);
  if (want_values) out.values = move_back(out.values, axis);
  if (want_indices) out.indices = move_back(out.indices, axis);
  return out;
}

int sorted_axis(std::string_view op, const Tensor& x, int axis) {
  require_arithmetic(op, x);
  axis = normalize_axis(op, axis, x.ndim());
  if (x.shape()[axis] > std::numeric_limits<std::int32_t>::max()) {
    refuse(ErrorCode::unsupported, op, x, "indices are i32, which do not reach that far");
  }
  return axis;
}

}  // namespace

Tensor sort(const Tensor& x, int axis, bool descending) {
  axis = sorted_axis("sort", x, axis);
  return ordered("sort", x, x.shape()[axis], axis, descending, true, false).values;
}

Tensor argsort(const Tensor& x, int axis, bool descending) {
  axis = sorted_axis("argsort", x, axis);
  return ordered("argsort", x, x.shape()[axis], axis, descending, false, true).indices;
}

TopK topk(const Tensor& x, std::int64_t k, int axis) {
  axis = sorted_axis("topk", x, axis);
  if (k < 0 || k > x.shape()[axis]) {
    refuse(ErrorCode::invalid_argument, "topk", x, fmt::format("k is {} of {} entries", k, x.shape()[axis]));
  }
  return ordered("topk", x, k, axis, true, true, true);
}

}  // namespace v0
}  // namespace nibble
