#include <cmath>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/row_math.h"
#include "backend/cpu/strided.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

/// Weights of a norm as contiguous floats; empty where there are none. Once a call.
std::vector<float> floats_of(const Tensor& t) {
  if (!t.defined()) return {};
  std::vector<float> out;
  const std::int64_t n = t.numel();
  visit_dtype(FloatElements{}, t.dtype(), [&]<class T>(T) {
    const float* x = as_floats(data_of<T>(t), t.impl().strides[0], n, out);
    if (x != out.data()) out.assign(x, x + n);
  });
  return out;
}

/// row(x, out) for every row of x as floats; `out` is the result's row, converted by `narrow` when written.
template <class Row>
void each_row(const Tensor& x, const Tensor& out, Row&& row) {
  const Rows from(x), to(out);
  visit_dtype(FloatElements{}, x.dtype(), [&]<class T>(T) {
    parallel_rows(from.count, 2 * from.length, [&](std::int64_t r) {
      row(as_floats(from.row<T>(r), from.stride, from.length, scratch_floats()), from.length, to.row<T>(r));
    });
  });
}

}  // namespace

void CpuBackend::rms_norm(const Tensor& x, const Tensor& weight, double eps, const Tensor& out) {
  const std::vector<float> weights = floats_of(weight);
  const float* w = weights.empty() ? nullptr : weights.data();
  each_row(x, out, [&]<class T>(const float* row, std::int64_t n, T* to) {
    const double squares = sum_of(n, [row](std::int64_t i) { return static_cast<double>(row[i]) * row[i]; });
    const auto scale = static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(n) + eps));
    if (w) {
      for (std::int64_t i = 0; i < n; ++i) to[i] = narrow<T>(row[i] * scale * w[i]);
    } else {
      for (std::int64_t i = 0; i < n; ++i) to[i] = narrow<T>(row[i] * scale);
    }
  });
}

void CpuBackend::layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, const Tensor& out) {
  std::vector<float> weights = floats_of(weight), biases = floats_of(bias);
  const auto width = static_cast<std::size_t>(x.shape().back());
  weights.resize(width, 1.0f);
  biases.resize(width, 0.0f);
  const float *w = weights.data(), *b = biases.data();
  each_row(x, out, [&]<class T>(const float* row, std::int64_t n, T* to) {
    const double count = static_cast<double>(n);
    const double mean = sum_of(n, [row](std::int64_t i) { return row[i]; }) / count;
    const double squares = sum_of(n, [row, mean](std::int64_t i) {
      const double d = static_cast<double>(row[i]) - mean;
      return d * d;
    });
    const double scale = 1.0 / std::sqrt(squares / count + eps);
    for (std::int64_t i = 0; i < n; ++i) {
      const auto normal = static_cast<float>((static_cast<double>(row[i]) - mean) * scale);
      to[i] = narrow<T>(normal * w[i] + b[i]);
    }
  });
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
