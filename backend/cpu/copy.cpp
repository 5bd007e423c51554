#include <cmath>
#include <cstring>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/elementwise.h"
#include "backend/cpu/float8.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

/// A double as the float from which rounding to 16 bits gives what rounding once would: inexact results get an odd
/// last bit (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
float round_to_odd(double x) {
  const float f = static_cast<float>(x);
  if (static_cast<double>(f) == x || !std::isfinite(f)) return f;
  auto bits = std::bit_cast<std::uint32_t>(f);
  if (bits & 1u) return f;
  const bool away = std::fabs(static_cast<double>(f)) > std::fabs(x);
  return std::bit_cast<float>(away ? bits - 1 : bits + 1);
}

/// The integer part; what an integer type cannot hold is clamped, and NaN is 0.
template <class To>
To truncate(double x) {
  constexpr double low = static_cast<double>(std::numeric_limits<To>::min());
  constexpr double past = static_cast<double>(std::numeric_limits<To>::max() / 2 + 1) * 2;
  if (!(x > low)) return x == x ? std::numeric_limits<To>::min() : To{0};
  return x < past ? static_cast<To>(x) : std::numeric_limits<To>::max();
}

template <class To, class From>
To convert(From x) {
  constexpr bool from_small_float = is_float_element<From>;
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (from_small_float) {
    const float f = widen(x);
    if constexpr (is_float_element<To>)
      return narrow<To>(f);
    else if constexpr (is_fp8<To>)
      return encode(f, To{});
    else if constexpr (std::is_same_v<To, bool>)
      return f != 0;
    else if constexpr (std::is_integral_v<To>)
      return truncate<To>(f);
    else
      return f;
  } else if constexpr (is_fp8<From>) {
    return convert<To>(value_of(x));
  } else if constexpr (std::is_same_v<To, float>) {
    return static_cast<float>(x);
  } else if constexpr (is_float_element<To>) {
    return narrow<To>(round_to_odd(static_cast<double>(x)));
  } else if constexpr (is_fp8<To>) {
    return encode(round_to_odd(static_cast<double>(x)), To{});
  } else if constexpr (std::is_same_v<To, bool>) {
    return x != 0;
  } else if constexpr (std::is_same_v<From, double> && std::is_integral_v<To>) {
    return truncate<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

/// At any address: this is how what a file holds unaligned becomes aligned.
template <class T>
T read(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

template <class From, class To>
void convert_run(const Run<2>& run) {
  constexpr auto kFrom = static_cast<std::int64_t>(sizeof(From)), kTo = static_cast<std::int64_t>(sizeof(To));
  const std::byte* __restrict in = run.data[0];
  auto* __restrict out = reinterpret_cast<To*>(run.data[1]);
  const std::int64_t si = run.stride[0], so = run.stride[1] / kTo;
  if (si == kFrom && so == 1) {
    for (std::int64_t i = 0; i < run.count; ++i) out[i] = convert<To>(read<From>(in + i * kFrom));
  } else {
    for (std::int64_t i = 0; i < run.count; ++i) out[i * so] = convert<To>(read<From>(in + i * si));
  }
}

/// Moves elements of one size.
template <class Word>
void move_run(const Run<2>& run) {
  constexpr auto kItem = static_cast<std::int64_t>(sizeof(Word));
  if (run.stride[0] == kItem && run.stride[1] == kItem) {
    std::memcpy(run.data[1], run.data[0], static_cast<std::size_t>(run.count * kItem));
  } else {
    convert_run<Word, Word>(run);
  }
}

using Stored = TypeList<float, float16, bfloat16, double, std::int8_t, std::uint8_t, std::int16_t, std::uint16_t,
                        std::int32_t, std::uint32_t, std::int64_t, std::uint64_t, bool, E4M3, E5M2>;  // DType's order

template <class From, class... To>
constexpr DTypeRow<2> conversions_from(TypeList<To...>) {
  return {convert_run<From, To>...};
}
template <class... From>
constexpr std::array<DTypeRow<2>, kDTypeCount> conversions(TypeList<From...>) {
  return {conversions_from<From>(Stored{})...};
}
const std::array<DTypeRow<2>, kDTypeCount> kConversions = conversions(Stored{});

RunKernel<2> copy_kernel(DType from, DType to) {
  if (from != to) return kConversions[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
  return with_word(from, []<class Word>(Word) -> RunKernel<2> { return move_run<Word>; });
}

/// A number as one element of a dtype, from the widest type of its kind.
void element_of(Scalar value, DType dtype, std::byte* out) {
  const bool floating = value.kind() == Scalar::Kind::floating;
  double d = value.as_double();
  std::int64_t i = floating ? 0 : value.as_int();  // no integer holds an infinity
  Run<2> run{
      {reinterpret_cast<std::byte*>(floating ? static_cast<void*>(&d) : static_cast<void*>(&i)), out}, {8, 8}, 1};
  copy_kernel(floating ? DType::f64 : DType::i64, dtype)(run);
}

}  // namespace

void CpuBackend::copy(const Tensor& in, const Tensor& out) {
  Loop<2>(out.shape(), {&in, &out}).run(copy_kernel(in.dtype(), out.dtype()));
}

void CpuBackend::fill(const Tensor& out, Scalar value) {
  alignas(8) std::array<std::byte, 8> element;
  element_of(value, out.dtype(), element.data());
  const auto kernel = copy_kernel(out.dtype(), out.dtype());
  Loop<1>(out.shape(), {&out}).run([&](const Run<1>& run) {
    kernel({{element.data(), run.data[0]}, {0, run.stride[0]}, run.count});
  });
}

void CpuBackend::arange(const Tensor& out, Scalar start, Scalar step) {
  const std::int64_t item = static_cast<std::int64_t>(itemsize(out.dtype()));
  const bool floating = start.kind() == Scalar::Kind::floating || step.kind() == Scalar::Kind::floating;
  std::byte* to = mutable_bytes(out);
  for (std::int64_t i = 0; i < out.numel(); ++i, to += item) {
    if (floating) {
      element_of(Scalar(start.as_double() + static_cast<double>(i) * step.as_double()), out.dtype(), to);
    } else {
      element_of(Scalar(start.as_int() + i * step.as_int()), out.dtype(), to);
    }
  }
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
