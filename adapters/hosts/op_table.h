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
  on_cpu,   ///< read as it is on the CPU, decoded on devices
};

/// What the elements may be, packed or dense, that an op takes, or makes where it takes none.
enum class Elements : std::uint8_t {
  any,       ///< they are moved, not computed with
  computed,  ///< but those that are for storing: f64, i16, u16, u64 and 8-bit floats
  numbers,   ///< nor bool
  floats,    ///< f32, f16 and bf16
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
  Elements elements;
  Function* function;
  std::array<Argument, N> arguments;
};

template <class Result, class... Args, class... Named>
constexpr auto op(const char* name, Packed packed, Elements elements, Result (*function)(Args...), Named... arguments) {
  static_assert(sizeof...(Named) == sizeof...(Args), "a name for each argument");
  return Op<Result(Args...), sizeof...(Args)>{name, packed, elements, function, {Argument(arguments)...}};
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
inline constexpr Packed none = Packed::none, decoded = Packed::decoded, native = Packed::native,
                        on_cpu = Packed::on_cpu;
inline constexpr Elements any = Elements::any, computed = Elements::computed, numbers = Elements::numbers,
                          floats = Elements::floats;

}  // namespace table

constexpr auto make_op_table() {
  using namespace table;
  using DotGeneral = Tensor(const Tensor&, const Axes&, const Axes&, const Tensor&, const Axes&, const Axes&);
  // clang-format off
  return std::tuple{
      // creation
      op("zeros", none, any, zeros, "shape", kF32),
      op("ones", none, any, ones, "shape", kF32),
      op("full", none, any, full, "shape", "value", kF32),
      op("empty", none, any, overload<Tensor(const Shape&, DType)>(empty), "shape", kF32),
      op("empty_packed", none, floats, overload<Tensor(const Shape&, std::string_view)>(empty), "shape", "storage"),
      op("arange", none, any, arange, "start", "stop", Argument{"step", std::int64_t{1}},
         Argument{"dtype", DType::i32}),
      op("random_uniform", none, floats, random_uniform, "shape", "seed",
         Argument{"low", 0.0}, Argument{"high", 1.0}, kF32),
      op("random_normal", none, floats, random_normal, "shape", "seed",
         Argument{"mean", 0.0}, Argument{"stddev", 1.0}, kF32),

      // elementwise
      op("add", decoded, computed, add, "a", "b"),
      op("subtract", decoded, computed, subtract, "a", "b"),
      op("multiply", decoded, computed, multiply, "a", "b"),
      op("divide", decoded, computed, divide, "a", "b"),
      op("floor_divide", decoded, computed, floor_divide, "a", "b"),
      op("remainder", decoded, computed, remainder, "a", "b"),
      op("power", decoded, computed, power, "a", "b"),
      op("minimum", decoded, computed, minimum, "a", "b"),
      op("maximum", decoded, computed, maximum, "a", "b"),
      op("equal", decoded, computed, equal, "a", "b"),
      op("not_equal", decoded, computed, not_equal, "a", "b"),
      op("less", decoded, computed, less, "a", "b"),
      op("less_equal", decoded, computed, less_equal, "a", "b"),
      op("greater", decoded, computed, greater, "a", "b"),
      op("greater_equal", decoded, computed, greater_equal, "a", "b"),
      op("logical_and", decoded, computed, logical_and, "a", "b"),
      op("logical_or", decoded, computed, logical_or, "a", "b"),
      op("negative", decoded, numbers, negative, "x"),
      op("abs", decoded, computed, abs, "x"),
      op("sign", decoded, numbers, sign, "x"),
      op("square", decoded, numbers, square, "x"),
      op("sqrt", decoded, computed, sqrt, "x"),
      op("rsqrt", decoded, computed, rsqrt, "x"),
      op("reciprocal", decoded, computed, reciprocal, "x"),
      op("exp", decoded, computed, exp, "x"),
      op("log", decoded, computed, log, "x"),
      op("sin", decoded, computed, sin, "x"),
      op("cos", decoded, computed, cos, "x"),
      op("tanh", decoded, computed, tanh, "x"),
      op("erf", decoded, computed, erf, "x"),
      op("floor", decoded, computed, floor, "x"),
      op("ceil", decoded, computed, ceil, "x"),
      op("round", decoded, computed, round, "x"),
      op("logical_not", decoded, computed, logical_not, "x"),
      op("isnan", decoded, computed, isnan, "x"),
      op("isinf", decoded, computed, isinf, "x"),
      op("isfinite", decoded, computed, isfinite, "x"),
      op("sigmoid", decoded, computed, sigmoid, "x"),
      op("relu", decoded, computed, relu, "x"),
      op("silu", decoded, computed, silu, "x"),
      op("gelu", decoded, computed, gelu, "x"),
      op("gelu_tanh", decoded, computed, gelu_tanh, "x"),
      op("where", decoded, any, where, "condition", "a", "b"),
      op("cast", decoded, any, cast, "x", "dtype"),

      // reductions
      op("sum", decoded, computed, sum, "x", kAxes, kKeep),
      op("mean", decoded, computed, mean, "x", kAxes, kKeep),
      op("max", decoded, computed, max, "x", kAxes, kKeep),
      op("min", decoded, computed, min, "x", kAxes, kKeep),
      op("var", decoded, computed, var, "x", kAxes, kKeep, Argument{"correction", 0.0}),
      op("logsumexp", decoded, computed, logsumexp, "x", kAxes, kKeep),
      op("argmax", decoded, computed, argmax, "x", kLast, kKeep),
      op("argmin", decoded, computed, argmin, "x", kLast, kKeep),
      op("softmax", decoded, computed, softmax, "x", kLast),
      op("log_softmax", decoded, computed, log_softmax, "x", kLast),

      // sorting
      op("sort", decoded, computed, sort, "x", kLast, kDescending),
      op("argsort", decoded, computed, argsort, "x", kLast, kDescending),
      op("topk", decoded, computed, topk, "x", "k", kLast),

      // shape
      op("reshape", native, any, reshape, "x", "shape"),
      op("transpose", native, any, transpose, "x", kAxes),
      op("swapaxes", native, any, swapaxes, "x", "a", "b"),
      op("expand_dims", native, any, expand_dims, "x", "axis"),
      op("squeeze", native, any, squeeze, "x", kAxes),
      op("broadcast_to", native, any, broadcast_to, "x", "shape"),
      op("concatenate", decoded, any, concatenate, "tensors", kFirst),
      op("stack", decoded, any, stack, "tensors", kFirst),
      op("split", native, any, split, "x", "sections", kFirst),
      op("slice", native, any, slice, "x", "axis", "start", "stop", Argument{"step", std::int64_t{1}}),
      op("select", native, any, select, "x", "axis", "index"),
      op("contiguous", decoded, any, contiguous, "x"),
      op("flip", native, any, flip, "x", kAxes),
      op("pad", decoded, any, pad, "x", "before", "after", Argument{"value", std::int64_t{0}}),
      op("repeat", decoded, any, repeat, "x", "repeats", "axis"),
      op("tril", decoded, any, tril, "x", kDiagonal),
      op("triu", decoded, any, triu, "x", kDiagonal),

      // indexing
      op("take", native, any, take, "x", "indices", kFirst),
      op("take_along_axis", decoded, any, take_along_axis, "x", "indices", "axis"),
      op("update_slice", native, any, update_slice, "x", "rows", "start", "axis"),

      // products
      op("matmul", native, floats, overload<Tensor(const Tensor&, const Tensor&)>(matmul), "a", "b"),
      op("dot", native, floats, overload<Tensor(const Tensor&, const Tensor&)>(dot), "a", "b"),
      op("dot_general", native, floats, overload<DotGeneral>(dot), "a", "axes_a", "batch_a", "b", "axes_b", "batch_b"),
      op("einsum", native, floats, einsum, "subscripts", "operands"),
      op("gather_matmul", native, floats, gather_matmul, "x", "w", "indices"),

      // neural ops
      op("rms_norm", decoded, floats, rms_norm, "x", "weight", kEps),
      op("layer_norm", decoded, floats, layer_norm, "x", "weight", "bias", kEps),
      op("rope_frequencies", none, floats, rope_frequencies, "dims", "theta", Argument{"scaling", Absent{}}),
      op("rope", decoded, floats, rope, "x", "positions", "frequencies", Argument{"interleaved", false}),
      op("scaled_dot_product_attention", on_cpu, floats, scaled_dot_product_attention, "q", "k", "v",
         Argument{"options", Absent{}}),

      // packing
      op("from_quantized", none, floats, from_quantized, "codes", "scales", "biases", Argument{"params", Absent{}}),
      op("quantize", native, floats, quantize, "w", Argument{"params", Absent{}}),
      op("dequantize", native, any, dequantize, "w", kNoDType),
      op("reexpress", native, floats, reexpress, "packed", "format"),
  };
  // clang-format on
}

inline constexpr auto kOps = make_op_table();
inline constexpr std::size_t kOpCount = std::tuple_size_v<decltype(kOps)>;

}  // namespace hosts
}  // namespace nibble
