#include <cmath>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/math.h"
#include "backend/cpu/row_math.h"
#include "backend/cpu/strided.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

/// Whether a beats b as the extreme of the operation; a NaN beats all but a NaN before it.
template <int sign, class T>
bool beats(T a, T b) {
  if constexpr (is_float_element<T>) {
    if (b != b) return false;
    if (a != a) return true;
  }
  return sign > 0 ? a > b : a < b;
}

template <int sign, class T>
std::int32_t arg_extreme(const T* x, std::int64_t stride, std::int64_t n) {
  std::int64_t best = 0;
  for (std::int64_t i = 1; i < n; ++i) {
    if (beats<sign>(load(x[i * stride]), load(x[best * stride]))) best = i;
  }
  return static_cast<std::int32_t>(best);
}

template <int sign, class T>
T extreme(const T* x, std::int64_t stride, std::int64_t n) {
  if constexpr (is_float_element<T>) {
    return narrow<T>(extreme_of<sign>(as_floats(x, stride, n, scratch_floats()), n));
  } else {
    T best = *x;
    for (std::int64_t i = 1; i < n; ++i) best = beats<sign>(x[i * stride], best) ? x[i * stride] : best;
    return best;
  }
}

float logsumexp(const float* x, std::int64_t n) {
  const float largest = extreme_of<1>(x, n);
  if (std::isinf(largest)) return largest;  // all −∞ (or n = 0), or one +∞
  const double sum = sum_of(n, [&](std::int64_t i) { return exp_f32(x[i] - largest); });
  return static_cast<float>(static_cast<double>(largest) + std::log(sum));
}

/// The sum as the result's type: floats from double precision, integers modulo its width.
template <class Out, class In>
Out sum(const In* x, std::int64_t stride, std::int64_t n) {
  if constexpr (is_float_element<In>) {
    const float* row = as_floats(x, stride, n, scratch_floats());
    return narrow<Out>(static_cast<float>(sum_of(n, [row](std::int64_t i) { return row[i]; })));
  } else {
    std::uint64_t total = 0;
    for (std::int64_t i = 0; i < n; ++i) total += static_cast<std::uint64_t>(x[i * stride]);
    return static_cast<Out>(total);
  }
}

/// out[r] = of(row r) for every row, In and Out being the element types.
template <class In, class Out, class Of>
void each_row(const Tensor& in, const Tensor& out, Of&& of) {
  const Rows rows(in);
  Out* to = mutable_data<Out>(out);
  parallel_rows(rows.count, rows.length,
                [&](std::int64_t r) { to[r] = of(rows.row<In>(r), rows.stride, rows.length); });
}

void reduce_sum(const Tensor& in, const Tensor& out) {
  visit_dtype(ArithmeticElements{}, in.dtype(), [&]<class In>(In) {
    using Outs =
        std::conditional_t<is_float_element<In>, FloatElements, TypeList<std::int32_t, std::uint32_t, std::int64_t>>;
    visit_dtype(Outs{}, out.dtype(), [&]<class Out>(Out) { each_row<In, Out>(in, out, sum<Out, In>); });
  });
}

template <int sign>
void reduce_extreme(const Tensor& in, const Tensor& out) {
  visit_dtype(ArithmeticElements{}, in.dtype(), [&]<class T>(T) { each_row<T, T>(in, out, extreme<sign, T>); });
}

template <int sign>
void reduce_arg(const Tensor& in, const Tensor& out) {
  visit_dtype(ArithmeticElements{}, in.dtype(),
              [&]<class T>(T) { each_row<T, std::int32_t>(in, out, arg_extreme<sign, T>); });
}

void reduce_logsumexp(const Tensor& in, const Tensor& out) {
  visit_dtype(FloatElements{}, in.dtype(), [&]<class T>(T) {
    each_row<T, T>(in, out, [](const T* x, std::int64_t stride, std::int64_t n) {
      return narrow<T>(logsumexp(as_floats(x, stride, n, scratch_floats()), n));
    });
  });
}

using Reduction = void (*)(const Tensor& in, const Tensor& out);
constexpr Reduction kTable[] = {reduce_sum,    reduce_extreme<1>, reduce_extreme<-1>,
                                reduce_arg<1>, reduce_arg<-1>,    reduce_logsumexp};
static_assert(std::size(kTable) == static_cast<std::size_t>(ReduceOp::count_));

}  // namespace

void CpuBackend::reduce(ReduceOp op, const Tensor& in, const Tensor& out) {
  kTable[static_cast<std::size_t>(op)](in, out);
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
