#include <cmath>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/math.h"
#include "backend/cpu/row_math.h"
#include "backend/cpu/strided.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

template <class T>
void softmax_row(const float* x, std::int64_t n, T* out) {
  const float largest = extreme_of<1>(x, n);
  if (largest == -kInfinity) {  // nothing is left to choose from
    for (std::int64_t i = 0; i < n; ++i) out[i] = T(0.0f);
    return;
  }
  CachedVector<float>& exps = scratch_floats<1>();
  exps.resize(static_cast<std::size_t>(n));
  float* e = exps.data();
  for (std::int64_t i = 0; i < n; ++i) e[i] = exp_f32(x[i] - largest);
  const double sum = sum_of(n, [e](std::int64_t i) { return e[i]; });
  const float scale = static_cast<float>(1.0 / sum);
  for (std::int64_t i = 0; i < n; ++i) out[i] = narrow<T>(e[i] * scale);
}

template <class T>
void log_softmax_row(const float* x, std::int64_t n, T* out) {
  const float largest = extreme_of<1>(x, n);
  if (largest == -kInfinity) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = narrow<T>(-kInfinity);
    return;
  }
  const double sum = sum_of(n, [&](std::int64_t i) { return exp_f32(x[i] - largest); });
  const float log_sum = static_cast<float>(std::log(sum));
  for (std::int64_t i = 0; i < n; ++i) out[i] = narrow<T>((x[i] - largest) - log_sum);
}

}  // namespace

void CpuBackend::softmax(const Tensor& in, const Tensor& out, bool log) {
  const Rows from(in), to(out);
  visit_dtype(FloatElements{}, in.dtype(), [&]<class T>(T) {
    parallel_rows(from.count, 4 * from.length, [&](std::int64_t r) {
      const float* x = as_floats(from.row<T>(r), from.stride, from.length, scratch_floats());
      if (log) {
        log_softmax_row(x, from.length, to.row<T>(r));
      } else {
        softmax_row(x, from.length, to.row<T>(r));
      }
    });
  });
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
