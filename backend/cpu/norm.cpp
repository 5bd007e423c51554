#include <cmath>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/row_math.h"
#include "backend/cpu/strided.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

/// Weights of a norm as contiguous floats, converted to `room` unless they are; null where there are none. Once a call.
const float* floats_of(const Tensor& t, CachedVector<float>& room) {
  const float* floats = nullptr;
  if (!t.defined()) return floats;
  visit_dtype(FloatElements{}, t.dtype(),
              [&]<class T>(T) { floats = as_floats(data_of<T>(t), t.impl().strides[0], t.numel(), room); });
  return floats;
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
  CachedVector<float> room;
  const float* w = floats_of(weight, room);
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
  const auto width = static_cast<std::size_t>(x.shape().back());
  CachedVector<float> weights(width, 1.0f), biases(width, 0.0f);
  const float* w = weight.defined() ? floats_of(weight, weights) : weights.data();
  const float* b = bias.defined() ? floats_of(bias, biases) : biases.data();
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
