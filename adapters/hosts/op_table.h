#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <variant>

#include "nibble/ops.h"
#include "nibble/quantization.h"

/// Every plain op once, for all hosts: each makes its own entries from these rows, and finds in the function's type
/// what the arguments are. A new op is one row, and one line in the C header, which the compiler and a test hold to it.
namespace nibble {
namespace hosts {

/// What becomes of an operand that is packed.
enum class Packed : std::uint8_t {
  none,     ///< the op has no operand that could be
  decoded,  ///< no packed kernel: decoded first, which stats() counts and Fallback::error forbids
  native,   ///< read as it is, or only seen otherwise
};

/// An argument that need not be given: `axes = {}`, an optional, an undefined tensor.
struct Absent {};
/// std::monostate: the argument must be given.
using Default = std::variant<std::monostate, Absent, bool, std::int64_t, double, DType>;

struct Argument {
  constexpr Argument(const char* text) : name(text) {}
  constexpr Argument(const char* text, Default by_default) : name(text), value(by_default) {}
  constexpr bool is_required() const { return value.index() == 0; }

  const char* name;
  Default value;
};

template <class Function, std::size_t N>
struct Op {
  const char* name;
  Packed packed;
  Function* function;
  std::array<Argument, N> arguments;
};

template <class Result, class... Args, class... Named>
constexpr auto op(const char* name, Packed packed, Result (*function)(Args...), Named... arguments) {
  static_assert(sizeof...(Named) == sizeof...(Args), "a name for each argument");
  return Op<Result(Args...), sizeof...(Args)>{name, packed, function, {Argument(arguments)...}};
}

/// The one of several functions of a name that has this type.
template <class Function>
constexpr Function* overload(Function* function) {
  return function;
}

namespace table {

inline constexpr Argument kF32{"dtype", DType::f32};
inline constexpr Argument kAxes{"axes", Absent{}}, kLast{"axis", std::int64_t{-1}}, kFirst{"axis", std::int64_t{0}};
inline constexpr Argument kKeep{"keepdims", false}, kDescending{"descending", false};
inline constexpr Argument kEps{"eps", 1e-5}, kDiagonal{"k", std::int64_t{0}}, kNoDType{"dtype", Absent{}};
inline constexpr Packed none = Packed::none, decoded = Packed::decoded, native = Packed::native;

}  // namespace table

constexpr auto make_op_table() {
  using namespace table;
  using DotGeneral = Tensor(const Tensor&, const Axes&, const Axes&, const Tensor&, const Axes&, const Axes&);
  // clang-format off
  return std::tuple{
      // creation
      op("zeros", none, zeros, "shape", kF32),
      op("ones", none, ones, "shape", kF32),
      op("full", none, full, "shape", "value", kF32),
      op("empty", none, overload<Tensor(const Shape&, DType)>(empty), "shape", kF32),
      op("empty_packed", none, overload<Tensor(const Shape&, std::string_view)>(empty), "shape", "storage"),
      op("arange", none, arange, "start", "stop", Argument{"step", std::int64_t{1}}, Argument{"dtype", DType::i32}),
      op("random_uniform", none, random_uniform, "shape", "seed", Argument{"low", 0.0}, Argument{"high", 1.0}, kF32),
      op("random_normal", none, random_normal, "shape", "seed", Argument{"mean", 0.0}, Argument{"stddev", 1.0}, kF32),

      // elementwise
      op("add", decoded, add, "a", "b"),
      op("subtract", decoded, subtract, "a", "b"),
      op("multiply", decoded, multiply, "a", "b"),
      op("divide", decoded, divide, "a", "b"),
      op("floor_divide", decoded, floor_divide, "a", "b"),
      op("remainder", decoded, remainder, "a", "b"),
      op("power", decoded, power, "a", "b"),
      op("minimum", decoded, minimum, "a", "b"),
      op("maximum", decoded, maximum, "a", "b"),
      op("equal", decoded, equal, "a", "b"),
      op("not_equal", decoded, not_equal, "a", "b"),
      op("less", decoded, less, "a", "b"),
      op("less_equal", decoded, less_equal, "a", "b"),
      op("greater", decoded, greater, "a", "b"),
      op("greater_equal", decoded, greater_equal, "a", "b"),
      op("logical_and", decoded, logical_and, "a", "b"),
      op("logical_or", decoded, logical_or, "a", "b"),
      op("negative", decoded, negative, "x"),
      op("abs", decoded, abs, "x"),
      op("sign", decoded, sign, "x"),
      op("square", decoded, square, "x"),
      op("sqrt", decoded, sqrt, "x"),
      op("rsqrt", decoded, rsqrt, "x"),
      op("reciprocal", decoded, reciprocal, "x"),
      op("exp", decoded, exp, "x"),
      op("log", decoded, log, "x"),
      op("sin", decoded, sin, "x"),
      op("cos", decoded, cos, "x"),
      op("tanh", decoded, tanh, "x"),
      op("erf", decoded, erf, "x"),
      op("floor", decoded, floor, "x"),
      op("ceil", decoded, ceil, "x"),
      op("round", decoded, round, "x"),
      op("logical_not", decoded, logical_not, "x"),
      op("isnan", decoded, isnan, "x"),
      op("isinf", decoded, isinf, "x"),
      op("isfinite", decoded, isfinite, "x"),
      op("sigmoid", decoded, sigmoid, "x"),
      op("relu", decoded, relu, "x"),
      op("silu", decoded, silu, "x"),
      op("gelu", decoded, gelu, "x"),
      op("gelu_tanh", decoded, gelu_tanh, "x"),
      op("where", decoded, where, "condition", "a", "b"),
      op("cast", decoded, cast, "x", "dtype"),

      // reductions
      op("sum", decoded, sum, "x", kAxes, kKeep),
      op("mean", decoded, mean, "x", kAxes, kKeep),
      op("max", decoded, max, "x", kAxes, kKeep),
      op("min", decoded, min, "x", kAxes, kKeep),
      op("var", decoded, var, "x", kAxes, kKeep, Argument{"correction", 0.0}),
      op("logsumexp", decoded, logsumexp, "x", kAxes, kKeep),
      op("argmax", decoded, argmax, "x", kLast, kKeep),
      op("argmin", decoded, argmin, "x", kLast, kKeep),
      op("softmax", decoded, softmax, "x", kLast),
      op("log_softmax", decoded, log_softmax, "x", kLast),

      // sorting
      op("sort", decoded, sort, "x", kLast, kDescending),
      op("argsort", decoded, argsort, "x", kLast, kDescending),
      op("topk", decoded, topk, "x", "k", kLast),

      // shape
      op("reshape", native, reshape, "x", "shape"),
      op("transpose", native, transpose, "x", kAxes),
      op("swapaxes", native, swapaxes, "x", "a", "b"),
      op("expand_dims", native, expand_dims, "x", "axis"),
      op("squeeze", native, squeeze, "x", kAxes),
      op("broadcast_to", native, broadcast_to, "x", "shape"),
      op("concatenate", decoded, concatenate, "tensors", kFirst),
      op("stack", decoded, stack, "tensors", kFirst),
      op("split", native, split, "x", "sections", kFirst),
      op("slice", native, slice, "x", "axis", "start", "stop", Argument{"step", std::int64_t{1}}),
      op("select", native, select, "x", "axis", "index"),
      op("contiguous", decoded, contiguous, "x"),
      op("flip", native, flip, "x", kAxes),
      op("pad", decoded, pad, "x", "before", "after", Argument{"value", std::int64_t{0}}),
      op("repeat", decoded, repeat, "x", "repeats", "axis"),
      op("tril", decoded, tril, "x", kDiagonal),
      op("triu", decoded, triu, "x", kDiagonal),

      // indexing
      op("take", native, take, "x", "indices", kFirst),
      op("take_along_axis", decoded, take_along_axis, "x", "indices", "axis"),
      op("update_slice", native, update_slice, "x", "rows", "start", "axis"),

      // products
      op("matmul", native, overload<Tensor(const Tensor&, const Tensor&)>(matmul), "a", "b"),
      op("dot", native, overload<Tensor(const Tensor&, const Tensor&)>(dot), "a", "b"),
      op("dot_general", native, overload<DotGeneral>(dot), "a", "axes_a", "batch_a", "b", "axes_b", "batch_b"),
      op("einsum", native, einsum, "subscripts", "operands"),
      op("gather_matmul", native, gather_matmul, "x", "w", "indices"),

      // neural ops
      op("rms_norm", decoded, rms_norm, "x", "weight", kEps),
      op("layer_norm", decoded, layer_norm, "x", "weight", "bias", kEps),
      op("rope_frequencies", none, rope_frequencies, "dims", "theta", Argument{"scaling", Absent{}}),
      op("rope", decoded, rope, "x", "positions", "frequencies", Argument{"interleaved", false}),
      op("scaled_dot_product_attention", native, scaled_dot_product_attention, "q", "k", "v",
         Argument{"options", Absent{}}),

      // packing
      op("from_quantized", none, from_quantized, "codes", "scales", "biases", Argument{"params", Absent{}}),
      op("quantize", native, quantize, "w", Argument{"params", Absent{}}),
      op("dequantize", native, dequantize, "w", kNoDType),
      op("reexpress", native, reexpress, "packed", "format"),
  };
  // clang-format on
}

inline constexpr auto kOps = make_op_table();
inline constexpr std::size_t kOpCount = std::tuple_size_v<decltype(kOps)>;

}  // namespace hosts
}  // namespace nibble
