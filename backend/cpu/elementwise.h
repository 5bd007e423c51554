#pragma once

#include <array>

#include "backend/cpu/element.h"
#include "backend/cpu/strided.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// A kernel over one run, its element types erased; a table has one for each dtype, null where the operation has none.
template <std::size_t N>
using RunKernel = void (*)(const Run<N>&);
template <std::size_t N>
using DTypeRow = std::array<RunKernel<N>, kDTypeCount>;

/// out = Op::of(in). The contiguous loop is written apart because only it vectorises.
template <class Op, class In, class Out>
void unary_run(const Run<2>& run) {
  const auto* in = reinterpret_cast<const In*>(run.data[0]);
  auto* out = reinterpret_cast<Out*>(run.data[1]);
  const std::int64_t si = run.stride[0] / static_cast<std::int64_t>(sizeof(In));
  if (si == 1) {
    const In* __restrict from = in;
    Out* __restrict to = out;
    for (std::int64_t i = 0; i < run.count; ++i) store(to[i], Op::of(load(from[i])));
  } else {
    for (std::int64_t i = 0; i < run.count; ++i) store(out[i], Op::of(load(in[i * si])));
  }
}

/// out = Op::of(a, b), with loops apart for two vectors and for a vector with a number.
template <class Op, class In, class Out>
void binary_run(const Run<3>& run) {
  const auto* __restrict a = reinterpret_cast<const In*>(run.data[0]);
  const auto* __restrict b = reinterpret_cast<const In*>(run.data[1]);
  auto* __restrict out = reinterpret_cast<Out*>(run.data[2]);
  constexpr auto kItem = static_cast<std::int64_t>(sizeof(In));
  const std::int64_t sa = run.stride[0] / kItem, sb = run.stride[1] / kItem, n = run.count;
  if (sa == 1 && sb == 1) {
    for (std::int64_t i = 0; i < n; ++i) store(out[i], Op::of(load(a[i]), load(b[i])));
  } else if (sa == 1 && sb == 0) {
    const auto y = load(*b);
    for (std::int64_t i = 0; i < n; ++i) store(out[i], Op::of(load(a[i]), y));
  } else if (sa == 0 && sb == 1) {
    const auto x = load(*a);
    for (std::int64_t i = 0; i < n; ++i) store(out[i], Op::of(x, load(b[i])));
  } else {
    for (std::int64_t i = 0; i < n; ++i) store(out[i], Op::of(load(a[i * sa]), load(b[i * sb])));
  }
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
