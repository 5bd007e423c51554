#include <cmath>
#include <concepts>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/elementwise.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

template <class T>
Wrapping<T> wrap(T x) {
  return static_cast<Wrapping<T>>(x);
}

// What each operation does with two elements of one type: f32 for every float, else the integer type or bool.
struct Add {
  static float of(float a, float b) { return a + b; }
  template <std::integral T>
  static T of(T a, T b) {
    return static_cast<T>(wrap(a) + wrap(b));
  }
};
struct Subtract {
  static float of(float a, float b) { return a - b; }
  template <std::integral T>
  static T of(T a, T b) {
    return static_cast<T>(wrap(a) - wrap(b));
  }
};
struct Multiply {
  static float of(float a, float b) { return a * b; }
  template <std::integral T>
  static T of(T a, T b) {
    return static_cast<T>(wrap(a) * wrap(b));
  }
};
struct Divide {
  static float of(std::same_as<float> auto a, std::same_as<float> auto b) { return a / b; }
};
/// Sign of the divisor, as Python's %. An integer modulo 0 is 0, as NumPy has it.
struct Remainder {
  static float of(float a, float b) {
    const float r = std::fmod(a, b);
    if (r == 0) return std::copysign(0.0f, b);
    return (r < 0) != (b < 0) ? r + b : r;
  }
  template <std::integral T>
  static T of(T a, T b) {
    if (b == 0) return 0;
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return 0;  // the one quotient that overflows
    }
    const T r = static_cast<T>(a % b);
    return r != 0 && (r < 0) != (b < 0) ? static_cast<T>(r + b) : r;
  }
};
/// Towards −∞. An integer divided by 0 is 0, as NumPy has it.
struct FloorDivide {
  static float of(float a, float b) {
    if (b == 0) return a / b;
    // From the exact remainder, as Python does it: the floor of a rounded quotient may be one too high.
    const float r = std::fmod(a, b);
    float q = (a - r) / b;
    if (r != 0 && (r < 0) != (b < 0)) q -= 1.0f;
    if (q == 0) return std::copysign(0.0f, a / b);
    const float down = std::floor(q);
    return q - down > 0.5f ? down + 1.0f : down;
  }
  template <std::integral T>
  static T of(T a, T b) {
    if (b == 0) return 0;
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return static_cast<T>(Wrapping<T>{0} - wrap(a));
    }
    const T q = static_cast<T>(a / b);
    return a % b != 0 && (a < 0) != (b < 0) ? static_cast<T>(q - 1) : q;
  }
};
struct Power {
  static float of(float a, float b) { return std::pow(a, b); }
  /// Wraps around like the products it stands for; a negative exponent truncates to an integer.
  template <std::integral T>
  static T of(T a, T b) {
    if (b < 0) return a == 1 ? T{1} : a == static_cast<T>(-1) ? static_cast<T>(b % 2 == 0 ? 1 : -1) : T{0};
    Wrapping<T> result = 1, square = wrap(a);
    for (auto e = wrap(b); e != 0; e >>= 1, square *= square) {
      if (e & 1) result *= square;
    }
    return static_cast<T>(result);
  }
};
struct Minimum {
  static float of(float a, float b) { return a != a ? a : b < a || b != b ? b : a; }  // a NaN wins
  template <std::integral T>
  static T of(T a, T b) {
    return b < a ? b : a;
  }
};
struct Maximum {
  static float of(float a, float b) { return a != a ? a : a < b || b != b ? b : a; }
  template <std::integral T>
  static T of(T a, T b) {
    return a < b ? b : a;
  }
};
struct Equal {
  static bool of(auto a, auto b) { return a == b; }
};
struct NotEqual {
  static bool of(auto a, auto b) { return a != b; }
};
struct Less {
  static bool of(auto a, auto b) { return a < b; }
};
struct LessEqual {
  static bool of(auto a, auto b) { return a <= b; }
};
struct LogicalAnd {
  static bool of(auto a, auto b) { return (a != 0) & (b != 0); }
};
struct LogicalOr {
  static bool of(auto a, auto b) { return (a != 0) | (b != 0); }
};

template <class Op, class Out, class... T>
constexpr DTypeRow<3> kernels(TypeList<T...>) {
  DTypeRow<3> row{};
  const auto add = [&row]<class In>(In) {
    using To = std::conditional_t<std::is_void_v<Out>, In, Out>;
    row[static_cast<std::size_t>(dtype_of<In>)] = binary_run<Op, In, To>;
  };
  (add(T{}), ...);
  return row;
}

struct BinaryRow {
  BinaryOp op;
  DTypeRow<3> kernel;
  bool swapped = false;  ///< called with its operands exchanged
};
using Numbers =
    TypeList<float, float16, bfloat16, std::int8_t, std::uint8_t, std::int32_t, std::uint32_t, std::int64_t>;

template <class Op>
constexpr BinaryRow numbers(BinaryOp op) {
  return {op, kernels<Op, void>(Numbers{})};
}
template <class Op>
constexpr BinaryRow all(BinaryOp op) {
  return {op, kernels<Op, void>(ArithmeticElements{})};
}
template <class Op>
constexpr BinaryRow test(BinaryOp op, bool swapped = false) {
  return {op, kernels<Op, bool>(ArithmeticElements{}), swapped};
}

const BinaryRow kTable[] = {
    numbers<Add>(BinaryOp::add),
    numbers<Subtract>(BinaryOp::subtract),
    numbers<Multiply>(BinaryOp::multiply),
    {BinaryOp::divide, kernels<Divide, void>(FloatElements{})},
    numbers<FloorDivide>(BinaryOp::floor_divide),
    numbers<Remainder>(BinaryOp::remainder),
    numbers<Power>(BinaryOp::power),
    all<Minimum>(BinaryOp::minimum),
    all<Maximum>(BinaryOp::maximum),
    test<Equal>(BinaryOp::equal),
    test<NotEqual>(BinaryOp::not_equal),
    test<Less>(BinaryOp::less),
    test<LessEqual>(BinaryOp::less_equal),
    test<Less>(BinaryOp::greater, true),
    test<LessEqual>(BinaryOp::greater_equal, true),
    test<LogicalAnd>(BinaryOp::logical_and),
    test<LogicalOr>(BinaryOp::logical_or),
};
static_assert(std::size(kTable) == static_cast<std::size_t>(BinaryOp::count_));

/// out = condition ? a : b, for elements of one size.
template <class Word>
void where_run(const Run<4>& run) {
  const auto& [c, a, b, out] = run.data;
  for (std::int64_t i = 0; i < run.count; ++i) {
    const bool yes = *reinterpret_cast<const bool*>(c + i * run.stride[0]);
    const std::byte* from = yes ? a + i * run.stride[1] : b + i * run.stride[2];
    *reinterpret_cast<Word*>(out + i * run.stride[3]) = *reinterpret_cast<const Word*>(from);
  }
}

}  // namespace

void CpuBackend::binary(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& out) {
  const BinaryRow& row = kTable[static_cast<std::size_t>(op)];
  const Tensor& first = row.swapped ? b : a;
  const Tensor& second = row.swapped ? a : b;
  Loop<3>(out.shape(), {&first, &second, &out}).run(row.kernel[static_cast<std::size_t>(a.dtype())]);
}

void CpuBackend::where(const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& out) {
  const Loop<4> loop(out.shape(), {&condition, &a, &b, &out});
  with_word(out.dtype(), [&]<class Word>(Word) { loop.run(where_run<Word>); });
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
