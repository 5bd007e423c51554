#include <fmt/format.h>

#include "dispatch/fallback.h"
#include "dispatch/layout.h"
#include "dispatch/route.h"
#include "dispatch/validation.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace {

using namespace detail;

/// What a reduction over some axes gives.
struct Plan {
  Axes order;    ///< kept axes, then reduced ones
  Shape flat;    ///< the kept sizes, then the number of elements reduced
  Shape result;  ///< with the axes gone, or 1 where kept
};

Plan plan_reduction(std::string_view op, const Tensor& x, const Axes& axes, bool keepdims) {
  unsigned reduced = axes.empty() ? ~0u : 0u;
  for (const std::int64_t axis : axes) {
    const unsigned bit = 1u << normalize_axis(op, axis, x.ndim());
    if (reduced & bit) {
      refuse(ErrorCode::invalid_argument, op, fmt::format("x {} over {}", describe(x), to_string(axes)),
             "an axis is named twice");
    }
    reduced |= bit;
  }
  Plan plan;
  Axes last;
  std::int64_t n = 1;
  for (int a = 0; a < x.ndim(); ++a) {
    if (reduced >> a & 1u) {
      last.push_back(a);
      n *= x.shape()[a];
      if (keepdims) plan.result.push_back(1);
    } else {
      plan.order.push_back(a);
      plan.flat.push_back(x.shape()[a]);
      plan.result.push_back(x.shape()[a]);
    }
  }
  for (const std::int64_t a : last) plan.order.push_back(a);
  // A number has no axes: give it one. Eight kept axes and none reduced cannot be: no axes named means all.
  plan.flat.push_back(n);
  return plan;
}

Tensor reduce(std::string_view op, ReduceOp kind, const Tensor& x, const Axes& axes, bool keepdims, DType in,
              DType out) {
  require_arithmetic(op, x);
  const Plan plan = plan_reduction(op, x, axes, keepdims);
  const bool needs_one =
      kind == ReduceOp::max || kind == ReduceOp::min || kind == ReduceOp::argmax || kind == ReduceOp::argmin;
  if (needs_one && plan.flat.back() == 0 && plan.result.numel() > 0) {
    refuse(ErrorCode::shape_mismatch, op, x, "nothing to choose from along the reduced axes");
  }
  const Tensor dense = operand_as(op, x, in);
  Backend& backend = route(op, dense);
  Tensor result = backend.allocate(plan.result, out);
  backend.reduce(kind, reshape(permute(dense, plan.order), plan.flat), result);
  return result;
}

DType sum_dtype(DType dtype) {
  return dtype == DType::i8 || dtype == DType::u8 || dtype == DType::boolean ? DType::i32 : dtype;
}

/// The sum as f32 whatever the float: what is divided afterwards must not have been rounded, nor have overflowed.
Tensor sum_f32(std::string_view op, const Tensor& x, const Axes& axes, bool keepdims) {
  return reduce(op, ReduceOp::sum, x, axes, keepdims, real_dtype(x.dtype()), DType::f32);
}

std::int64_t reduced_count(std::string_view op, const Tensor& x, const Axes& axes) {
  return plan_reduction(op, x, axes, false).flat.back();
}

Tensor arg_reduce(std::string_view op, ReduceOp kind, const Tensor& x, int axis, bool keepdims) {
  return reduce(op, kind, x, {normalize_axis(op, axis, x.ndim())}, keepdims, x.dtype(), DType::i32);
}

Tensor softmax_of(std::string_view op, const Tensor& x, int axis, bool log) {
  require_arithmetic(op, x);
  axis = normalize_axis(op, axis, x.ndim());
  const Tensor in = move_last(operand_as(op, x, real_dtype(x.dtype())), axis);
  Backend& backend = route(op, in);
  Tensor out = backend.allocate(in.shape(), in.dtype());
  backend.softmax(in, out, log);
  return move_back(out, axis);
}

}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, bool keepdims) {
  return reduce("sum", ReduceOp::sum, x, axes, keepdims, x.dtype(), sum_dtype(x.dtype()));
}
Tensor max(const Tensor& x, const Axes& axes, bool keepdims) {
  return reduce("max", ReduceOp::max, x, axes, keepdims, x.dtype(), x.dtype());
}
Tensor min(const Tensor& x, const Axes& axes, bool keepdims) {
  return reduce("min", ReduceOp::min, x, axes, keepdims, x.dtype(), x.dtype());
}
Tensor logsumexp(const Tensor& x, const Axes& axes, bool keepdims) {
  const DType dtype = real_dtype(x.dtype());
  return reduce("logsumexp", ReduceOp::logsumexp, x, axes, keepdims, dtype, dtype);
}

Tensor mean(const Tensor& x, const Axes& axes, bool keepdims) {
  const Tensor total = sum_f32("mean", x, axes, keepdims);
  return cast(divide(total, static_cast<double>(reduced_count("mean", x, axes))), real_dtype(x.dtype()));
}

Tensor var(const Tensor& x, const Axes& axes, bool keepdims, double correction) {
  require_arithmetic("var", x);
  const Tensor wide = operand_as("var", x, DType::f32);
  const auto n = static_cast<double>(reduced_count("var", x, axes));
  const Tensor deviation = subtract(wide, divide(sum_f32("var", wide, axes, true), n));
  const Tensor squares = sum_f32("var", square(deviation), axes, keepdims);
  return cast(divide(squares, std::max(n - correction, 0.0)), real_dtype(x.dtype()));
}

Tensor argmax(const Tensor& x, int axis, bool keepdims) {
  return arg_reduce("argmax", ReduceOp::argmax, x, axis, keepdims);
}
Tensor argmin(const Tensor& x, int axis, bool keepdims) {
  return arg_reduce("argmin", ReduceOp::argmin, x, axis, keepdims);
}

Tensor softmax(const Tensor& x, int axis) { return softmax_of("softmax", x, axis, false); }
Tensor log_softmax(const Tensor& x, int axis) { return softmax_of("log_softmax", x, axis, true); }

}  // namespace v0
}  // namespace nibble
