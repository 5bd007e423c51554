#pragma once

#include <string>
#include <string_view>

#include "nibble/error.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// An operand as error texts give it: a tensor's description, or the number.
std::string describe(const Operand& operand);

/// Throws `[op] what: rule`.
[[noreturn]] void refuse(ErrorCode code, std::string_view op, std::string_view what, std::string_view rule);
[[noreturn]] void refuse(ErrorCode code, std::string_view op, const Tensor& x, std::string_view rule);

void require_arithmetic(std::string_view op, const Tensor& x);
/// Of integers and booleans f32, of a float itself: the dtype in which functions of real numbers compute.
DType real_dtype(DType dtype);

/// A dense tensor in the dtype that an operation computes in: decoded where packed (counted), cast where it differs.
Tensor operand_as(std::string_view op, const Tensor& x, DType dtype);

/// The number on a device as a tensor of no axes.
Tensor scalar_tensor(Scalar value, DType dtype, Device device);
/// start, start + 1, … below stop, on a device.
Tensor counting(std::int64_t start, std::int64_t stop, DType dtype, Device device);

/// The shape that two broadcast to. Throws Error(shape_mismatch) naming both operands.
Shape broadcast_shape(std::string_view op, const Operand& a, const Operand& b);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
