#include <fmt/format.h>

#include "dispatch/fallback.h"
#include "dispatch/layout.h"
#include "dispatch/product.h"
#include "dispatch/route.h"
#include "dispatch/validation.h"

namespace nibble {
inline namespace v0 {
namespace {

using namespace detail;

// ---- dtypes of operands and results ----

/// The dtype that a number takes beside a tensor of `dtype`: weak, so the tensor's unless its kind cannot hold it.
DType beside(DType dtype, Scalar number) {
  if (number.kind() == Scalar::Kind::floating) return real_dtype(dtype);
  if (number.kind() == Scalar::Kind::integer && dtype == DType::boolean) return DType::i32;
  return dtype;
}
DType alone(Scalar number) {
  if (number.kind() == Scalar::Kind::floating) return DType::f32;
  return number.kind() == Scalar::Kind::integer ? DType::i32 : DType::boolean;
}

DType common_dtype(const Operand& a, const Operand& b) {
  if (a.is_tensor() && b.is_tensor()) {
    const DType both = promote(a.tensor().dtype(), b.tensor().dtype());
    return both == DType::i16 ? DType::i32 : both;  // of i8 with u8; i16 is for storage
  }
  if (a.is_tensor()) return beside(a.tensor().dtype(), b.scalar());
  if (b.is_tensor()) return beside(b.tensor().dtype(), a.scalar());
  return promote(alone(a.scalar()), alone(b.scalar()));
}

/// Where numbers go that stand beside a tensor.
Device device_of(const Operand& a, const Operand& b) {
  return a.is_tensor() ? a.tensor().device() : b.is_tensor() ? b.tensor().device() : options().device;
}

Tensor operand_tensor(std::string_view op, const Operand& x, DType dtype, Device device) {
  return x.is_tensor() ? operand_as(op, x.tensor(), dtype) : scalar_tensor(x.scalar(), dtype, device);
}

// ---- binary ----

enum class Takes : std::uint8_t { numbers, reals, all, test };
struct BinaryRule {
  std::string_view name;
  Takes takes;  ///< numbers: booleans count as i32; reals: integers as f32; test: the result is boolean
};
constexpr BinaryRule kBinaryRules[] = {
    {"add", Takes::numbers},      {"subtract", Takes::numbers},     {"multiply", Takes::numbers},
    {"divide", Takes::reals},     {"floor_divide", Takes::numbers}, {"remainder", Takes::numbers},
    {"power", Takes::numbers},    {"minimum", Takes::all},          {"maximum", Takes::all},
    {"equal", Takes::test},       {"not_equal", Takes::test},       {"less", Takes::test},
    {"less_equal", Takes::test},  {"greater", Takes::test},         {"greater_equal", Takes::test},
    {"logical_and", Takes::test}, {"logical_or", Takes::test},
};
static_assert(std::size(kBinaryRules) == static_cast<std::size_t>(BinaryOp::count_));

DType computing_dtype(Takes takes, DType common) {
  if (takes == Takes::reals) return real_dtype(common);
  return takes == Takes::numbers && common == DType::boolean ? DType::i32 : common;
}

Tensor binary(BinaryOp op, const Operand& a, const Operand& b) {
  const BinaryRule& rule = kBinaryRules[static_cast<std::size_t>(op)];
  if (a.is_tensor()) require_arithmetic(rule.name, a.tensor());
  if (b.is_tensor()) require_arithmetic(rule.name, b.tensor());
  const Shape shape = broadcast_shape(rule.name, a, b);
  const DType dtype = computing_dtype(rule.takes, common_dtype(a, b));
  const Device device = device_of(a, b);
  Tensor left = operand_tensor(rule.name, a, dtype, device), right = operand_tensor(rule.name, b, dtype, device);
  Backend& backend = route(rule.name, left, right);
  Tensor out = backend.allocate(shape, rule.takes == Takes::test ? DType::boolean : dtype);
  backend.binary(op, broadcast_view(left, shape), broadcast_view(right, shape), out);
  return out;
}

// ---- unary ----

enum class Gives : std::uint8_t { same, number, real, boolean };
struct UnaryRule {
  std::string_view name;
  Gives gives;  ///< number: not of booleans; real: integers count as f32
};
constexpr UnaryRule kUnaryRules[] = {
    {"negative", Gives::number},
    {"abs", Gives::same},
    {"sign", Gives::number},
    {"square", Gives::number},
    {"sqrt", Gives::real},
    {"rsqrt", Gives::real},
    {"reciprocal", Gives::real},
    {"exp", Gives::real},
    {"log", Gives::real},
    {"sin", Gives::real},
    {"cos", Gives::real},
    {"tanh", Gives::real},
    {"erf", Gives::real},
    {"floor", Gives::same},
    {"ceil", Gives::same},
    {"round", Gives::same},
    {"logical_not", Gives::boolean},
    {"isnan", Gives::boolean},
    {"isinf", Gives::boolean},
    {"isfinite", Gives::boolean},
    {"sigmoid", Gives::real},
    {"relu", Gives::same},
    {"silu", Gives::real},
    {"gelu", Gives::real},
    {"gelu_tanh", Gives::real},
};
static_assert(std::size(kUnaryRules) == static_cast<std::size_t>(UnaryOp::count_));

Tensor unary(UnaryOp op, const Tensor& x) {
  const UnaryRule& rule = kUnaryRules[static_cast<std::size_t>(op)];
  require_arithmetic(rule.name, x);
  if (rule.gives == Gives::number && x.dtype() == DType::boolean) {
    refuse(ErrorCode::dtype_mismatch, rule.name, x, "takes numbers, not booleans");
  }
  const DType dtype = rule.gives == Gives::real ? real_dtype(x.dtype()) : x.dtype();
  const Tensor in = operand_as(rule.name, x, dtype);
  Backend& backend = route(rule.name, in);
  Tensor out = backend.allocate(in.shape(), rule.gives == Gives::boolean ? DType::boolean : dtype);
  backend.unary(op, in, out);
  return out;
}

}  // namespace

Tensor add(const Operand& a, const Operand& b) { return binary(BinaryOp::add, a, b); }
Tensor subtract(const Operand& a, const Operand& b) { return binary(BinaryOp::subtract, a, b); }
Tensor multiply(const Operand& a, const Operand& b) { return binary(BinaryOp::multiply, a, b); }
Tensor divide(const Operand& a, const Operand& b) { return binary(BinaryOp::divide, a, b); }
Tensor floor_divide(const Operand& a, const Operand& b) { return binary(BinaryOp::floor_divide, a, b); }
Tensor remainder(const Operand& a, const Operand& b) { return binary(BinaryOp::remainder, a, b); }
Tensor power(const Operand& a, const Operand& b) { return binary(BinaryOp::power, a, b); }
Tensor minimum(const Operand& a, const Operand& b) { return binary(BinaryOp::minimum, a, b); }
Tensor maximum(const Operand& a, const Operand& b) { return binary(BinaryOp::maximum, a, b); }
Tensor equal(const Operand& a, const Operand& b) { return binary(BinaryOp::equal, a, b); }
Tensor not_equal(const Operand& a, const Operand& b) { return binary(BinaryOp::not_equal, a, b); }
Tensor less(const Operand& a, const Operand& b) { return binary(BinaryOp::less, a, b); }
Tensor less_equal(const Operand& a, const Operand& b) { return binary(BinaryOp::less_equal, a, b); }
Tensor greater(const Operand& a, const Operand& b) { return binary(BinaryOp::greater, a, b); }
Tensor greater_equal(const Operand& a, const Operand& b) { return binary(BinaryOp::greater_equal, a, b); }
Tensor logical_and(const Operand& a, const Operand& b) { return binary(BinaryOp::logical_and, a, b); }
Tensor logical_or(const Operand& a, const Operand& b) { return binary(BinaryOp::logical_or, a, b); }

Tensor negative(const Tensor& x) { return unary(UnaryOp::negative, x); }
Tensor abs(const Tensor& x) { return unary(UnaryOp::abs, x); }
Tensor sign(const Tensor& x) { return unary(UnaryOp::sign, x); }
Tensor square(const Tensor& x) { return unary(UnaryOp::square, x); }
Tensor sqrt(const Tensor& x) { return unary(UnaryOp::sqrt, x); }
Tensor rsqrt(const Tensor& x) { return unary(UnaryOp::rsqrt, x); }
Tensor reciprocal(const Tensor& x) { return unary(UnaryOp::reciprocal, x); }
Tensor exp(const Tensor& x) { return unary(UnaryOp::exp, x); }
Tensor log(const Tensor& x) { return unary(UnaryOp::log, x); }
Tensor sin(const Tensor& x) { return unary(UnaryOp::sin, x); }
Tensor cos(const Tensor& x) { return unary(UnaryOp::cos, x); }
Tensor tanh(const Tensor& x) { return unary(UnaryOp::tanh, x); }
Tensor erf(const Tensor& x) { return unary(UnaryOp::erf, x); }
Tensor floor(const Tensor& x) { return unary(UnaryOp::floor, x); }
Tensor ceil(const Tensor& x) { return unary(UnaryOp::ceil, x); }
Tensor round(const Tensor& x) { return unary(UnaryOp::round, x); }
Tensor logical_not(const Tensor& x) { return unary(UnaryOp::logical_not, x); }
Tensor isnan(const Tensor& x) { return unary(UnaryOp::isnan, x); }
Tensor isinf(const Tensor& x) { return unary(UnaryOp::isinf, x); }
Tensor isfinite(const Tensor& x) { return unary(UnaryOp::isfinite, x); }
Tensor sigmoid(const Tensor& x) { return unary(UnaryOp::sigmoid, x); }
Tensor relu(const Tensor& x) { return unary(UnaryOp::relu, x); }
Tensor silu(const Tensor& x) { return unary(UnaryOp::silu, x); }
Tensor gelu(const Tensor& x) { return unary(UnaryOp::gelu, x); }
Tensor gelu_tanh(const Tensor& x) { return unary(UnaryOp::gelu_tanh, x); }

Tensor where(const Tensor& condition, const Operand& a, const Operand& b) {
  const auto all = [&] {
    return fmt::format("condition {} · a {} · b {}", nibble::describe(condition), detail::describe(a),
                       detail::describe(b));
  };
  if (condition.dtype() != DType::boolean) {
    refuse(ErrorCode::dtype_mismatch, "where", all(), "the condition must be boolean");
  }
  Shape shape;
  if (!broadcast_shapes(condition.shape(), broadcast_shape("where", a, b), &shape)) {
    refuse(ErrorCode::shape_mismatch, "where", all(), "shapes do not broadcast");
  }
  const DType dtype = common_dtype(a, b);
  Tensor yes = operand_tensor("where", a, dtype, condition.device());
  Tensor no = operand_tensor("where", b, dtype, condition.device());
  Backend& backend = route("where", yes, no);
  require_one_device("where", condition, yes);
  Tensor out = backend.allocate(shape, dtype);
  backend.where(broadcast_view(condition, shape), broadcast_view(yes, shape), broadcast_view(no, shape), out);
  return out;
}

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;  // a packed tensor stays packed
  route("cast", x);
  return operand_as("cast", x, dtype);
}

}  // namespace v0
}  // namespace nibble
