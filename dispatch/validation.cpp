#include "dispatch/validation.h"

#include <fmt/format.h>

#include "backend/common/backend.h"
#include "dispatch/fallback.h"
#include "dispatch/product.h"
#include "dispatch/route.h"

namespace nibble {
inline namespace v0 {
namespace detail {

std::string describe(const Operand& operand) {
  if (operand.is_tensor()) return nibble::describe(operand.tensor());
  const Scalar s = operand.scalar();
  if (s.kind() == Scalar::Kind::floating) return fmt::format("{}", s.as_double());
  if (s.kind() == Scalar::Kind::boolean) return s.as_int() ? "true" : "false";
  return fmt::format("{}", s.as_int());
}

void refuse(ErrorCode code, std::string_view op, std::string_view what, std::string_view rule) {
  throw Error(code, fmt::format("[{}] {}: {}", op, what, rule));
}
void refuse(ErrorCode code, std::string_view op, const Tensor& x, std::string_view rule) {
  refuse(code, op, nibble::describe(x), rule);
}

void require_arithmetic(std::string_view op, const Tensor& x) {
  if (is_arithmetic(x.dtype())) return;
  refuse(ErrorCode::dtype_mismatch, op, x,
         fmt::format("{} is for storage; cast it to f32, f16, bf16, i8, u8, i32, u32, i64 or bool", name(x.dtype())));
}

DType real_dtype(DType dtype) { return is_floating(dtype) ? dtype : DType::f32; }

Tensor operand_as(std::string_view op, const Tensor& x, DType dtype) {
  if (!x.is_quantized() && x.dtype() == dtype) return dense_operand(op, x);
  if (x.is_quantized() && dtype != x.dtype() && is_arithmetic_float(dtype)) {
    // The value of a packed weight is its fp32 decode, rounded once to what is asked for.
    count_fallback(op, x, static_cast<std::uint64_t>(x.numel()) * itemsize(dtype));
    return dequantize(x, dtype);
  }
  Tensor dense = x.is_quantized() ? dense_operand(op, x) : x;  // a copy reads what is unaligned
  if (dense.dtype() == dtype) return dense;
  Backend& backend = backend_for(dense.device());
  Tensor out = backend.allocate(dense.shape(), dtype);
  backend.copy(dense, out);
  return out;
}

Tensor scalar_tensor(Scalar value, DType dtype, Device device) {
  Backend& backend = backend_for(device);
  Tensor out = backend.allocate({}, dtype);
  backend.fill(out, value);
  return out;
}

Tensor counting(std::int64_t start, std::int64_t stop, DType dtype, Device device) {
  Backend& backend = backend_for(device);
  Tensor out = backend.allocate({stop - start}, dtype);
  backend.arange(out, start, 1);
  return out;
}

Shape broadcast_shape(std::string_view op, const Operand& a, const Operand& b) {
  if (!a.is_tensor()) return b.is_tensor() ? b.tensor().shape() : Shape{};
  if (!b.is_tensor() || a.tensor().shape() == b.tensor().shape()) return a.tensor().shape();
  Shape out;
  if (broadcast_shapes(a.tensor().shape(), b.tensor().shape(), &out)) return out;
  refuse(ErrorCode::shape_mismatch, op, fmt::format("a {} · b {}", describe(a), describe(b)),
         "shapes do not broadcast");
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
