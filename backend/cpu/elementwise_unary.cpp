#include <cmath>
#include <concepts>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/elementwise.h"
#include "backend/cpu/units/select.h"
#include "backend/cpu/weights.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

template <class T>
concept Float = std::same_as<T, float>;
template <class T>
concept Number = !std::same_as<T, bool>;

// What each operation does with one element. An operation takes the types that its `of` takes.
struct Negative {
  static float of(Float auto x) { return -x; }
  template <std::integral T>
  requires Number<T>
  static T of(T x) { return static_cast<T>(Wrapping<T>{0} - static_cast<Wrapping<T>>(x)); }
};
struct Abs {
  static float of(Float auto x) { return std::fabs(x); }
  template <std::integral T>
  static T of(T x) {
    if constexpr (std::is_signed_v<T>) return x < 0 ? Negative::of(x) : x;
    return x;
  }
};
struct Sign {
  static float of(Float auto x) { return x > 0 ? 1.0f : x < 0 ? -1.0f : x; }  // keeps −0 and NaN
  template <std::integral T>
  requires Number<T>
  static T of(T x) {
    if constexpr (std::is_signed_v<T>) return static_cast<T>((x > 0) - (x < 0));
    return static_cast<T>(x > 0);
  }
};
struct Square {
  static float of(Float auto x) { return x * x; }
  template <std::integral T>
  requires Number<T>
  static T of(T x) { return static_cast<T>(static_cast<Wrapping<T>>(x) * static_cast<Wrapping<T>>(x)); }
};
template <auto function>
struct FloatFunction {
  static float of(Float auto x) { return function(x); }
};
/// floor, ceil, round: nothing to do for an integer.
template <auto function>
struct Rounding {
  static float of(Float auto x) { return function(x); }
  template <std::integral T>
  static T of(T x) {
    return x;
  }
};
struct Relu {
  static float of(Float auto x) { return x < 0 ? 0.0f : x; }
  template <std::integral T>
  static T of(T x) {
    return x > 0 ? x : T{0};
  }
};
struct LogicalNot {
  static bool of(auto x) { return x == 0; }
};
struct IsNan {
  static bool of(Float auto x) { return x != x; }
  static bool of(std::integral auto) { return false; }
};
struct IsInf {
  static bool of(Float auto x) { return std::fabs(x) == std::numeric_limits<float>::infinity(); }
  static bool of(std::integral auto) { return false; }
};
struct IsFinite {
  static bool of(Float auto x) { return std::fabs(x) < std::numeric_limits<float>::infinity(); }
  static bool of(std::integral auto) { return true; }
};

// Those of the C library are right to an ulp or so; the ones that models spend time in are units' functions.
float sqrt_of(float x) { return std::sqrt(x); }
float rsqrt_of(float x) { return 1.0f / std::sqrt(x); }
float reciprocal_of(float x) { return 1.0f / x; }
float log_of(float x) { return std::log(x); }
float sin_of(float x) { return std::sin(x); }
float cos_of(float x) { return std::cos(x); }
float tanh_of(float x) { return std::tanh(x); }
float erf_of(float x) { return std::erf(x); }
float floor_of(float x) { return std::floor(x); }
float ceil_of(float x) { return std::ceil(x); }
float round_of(float x) { return std::nearbyint(x); }

/// One of the unit's functions; other dtypes and other strides pass through a buffer of floats.
template <cpu::FloatFunctions::Of cpu::FloatFunctions::*function, class T>
void unit_run(const Run<2>& run) {
  const cpu::Unit& unit = cpu::current_unit();
  const auto of = unit.functions.*function;
  const std::byte* in = run.data[0];
  auto* out = reinterpret_cast<T*>(run.data[1]);
  if (std::same_as<T, float> && run.stride[0] == sizeof(float)) {
    return of(reinterpret_cast<const float*>(in), run.count, reinterpret_cast<float*>(out));
  }
  constexpr std::int64_t kPiece = 512;
  constexpr auto kItem = static_cast<std::int64_t>(sizeof(T));
  float x[kPiece], y[kPiece];
  for (std::int64_t i = 0; i < run.count; i += kPiece) {
    const std::int64_t n = std::min(kPiece, run.count - i);
    unit.load(in + i * run.stride[0], cpu::element_of(dtype_of<T>), run.stride[0] / kItem, n, x);
    of(x, n, y);
    unit.store(y, n, out + i, cpu::element_of(dtype_of<T>), 1);
  }
}

/// The kernels of one operation for all dtypes that it takes; Out is `bool` for tests, else void: like the input.
template <class Op, class Out, class... T>
constexpr DTypeRow<2> kernels(TypeList<T...>) {
  DTypeRow<2> row{};
  const auto add = [&row]<class In>(In) {
    if constexpr (requires(Arithmetic<In> x) { Op::of(x); }) {
      using To = std::conditional_t<std::is_void_v<Out>, In, Out>;
      row[static_cast<std::size_t>(dtype_of<In>)] = unary_run<Op, In, To>;
    }
  };
  (add(T{}), ...);
  return row;
}

struct UnaryRow {
  UnaryOp op;
  DTypeRow<2> kernel;
};
template <class Op>
constexpr UnaryRow same(UnaryOp op) {
  return {op, kernels<Op, void>(ArithmeticElements{})};
}
template <class Op>
constexpr UnaryRow test(UnaryOp op) {
  return {op, kernels<Op, bool>(ArithmeticElements{})};
}
template <auto function>
constexpr UnaryRow floats(UnaryOp op) {
  return {op, kernels<FloatFunction<function>, void>(FloatElements{})};
}

template <cpu::FloatFunctions::Of cpu::FloatFunctions::*function, class... T>
constexpr DTypeRow<2> unit_kernels(TypeList<T...>) {
  DTypeRow<2> row{};
  ((row[static_cast<std::size_t>(dtype_of<T>)] = unit_run<function, T>), ...);
  return row;
}
template <cpu::FloatFunctions::Of cpu::FloatFunctions::*function>
constexpr UnaryRow by_unit(UnaryOp op) {
  return {op, unit_kernels<function>(FloatElements{})};
}

const UnaryRow kTable[] = {
    same<Negative>(UnaryOp::negative),
    same<Abs>(UnaryOp::abs),
    same<Sign>(UnaryOp::sign),
    same<Square>(UnaryOp::square),
    floats<sqrt_of>(UnaryOp::sqrt),
    floats<rsqrt_of>(UnaryOp::rsqrt),
    floats<reciprocal_of>(UnaryOp::reciprocal),
    by_unit<&cpu::FloatFunctions::exp>(UnaryOp::exp),
    floats<log_of>(UnaryOp::log),
    floats<sin_of>(UnaryOp::sin),
    floats<cos_of>(UnaryOp::cos),
    floats<tanh_of>(UnaryOp::tanh),
    floats<erf_of>(UnaryOp::erf),
    same<Rounding<floor_of>>(UnaryOp::floor),
    same<Rounding<ceil_of>>(UnaryOp::ceil),
    same<Rounding<round_of>>(UnaryOp::round),
    test<LogicalNot>(UnaryOp::logical_not),
    test<IsNan>(UnaryOp::isnan),
    test<IsInf>(UnaryOp::isinf),
    test<IsFinite>(UnaryOp::isfinite),
    by_unit<&cpu::FloatFunctions::sigmoid>(UnaryOp::sigmoid),
    same<Relu>(UnaryOp::relu),
    by_unit<&cpu::FloatFunctions::silu>(UnaryOp::silu),
    by_unit<&cpu::FloatFunctions::gelu>(UnaryOp::gelu),
    by_unit<&cpu::FloatFunctions::gelu_tanh>(UnaryOp::gelu_tanh),
};
static_assert(std::size(kTable) == static_cast<std::size_t>(UnaryOp::count_));

}  // namespace

void CpuBackend::unary(UnaryOp op, const Tensor& in, const Tensor& out) {
  const UnaryRow& row = kTable[static_cast<std::size_t>(op)];
  Loop<2>(out.shape(), {&in, &out}).run(row.kernel[static_cast<std::size_t>(in.dtype())]);
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
