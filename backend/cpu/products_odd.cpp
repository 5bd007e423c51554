// Weights whose scale is infinite or NaN: kernels compute with scales apart from codes, which then gives another
// pattern of infinities and NaN than a dense product does. Such a scale always leaves a sum that is not finite, so
// whoever sees none has nothing to do, and those that were hit are computed again here.

#include <vector>

#include "backend/cpu/products.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

/// Row m of x as fp32.
std::vector<float> activations(const Unit& unit, const Matrix& x, std::int64_t m) {
  std::vector<float> values(static_cast<std::size_t>(x.columns));
  unit.load(x.at(m, 0), x.element, x.column_stride, x.columns, values.data());
  return values;
}

void put(const Unit& unit, const Output& y, std::int64_t m, std::int64_t n, double sum) {
  const auto rounded = static_cast<float>(sum);
  unit.store(&rounded, 1, y.at(m, n), y.element, y.column_stride);
}

}  // namespace

void mend_along(const Unit& unit, const Matrix& x, const PackedRows& w, const Output& y) {
  if (y.finite) return;
  std::vector<float> weights(static_cast<std::size_t>(w.length()));
  for (std::int64_t n = 0; n < w.rows(); ++n) {
    if (w.odd_groups(n).empty()) continue;
    w.decode(n, weights.data());
    for (std::int64_t m = 0; m < x.rows; ++m) {
      const std::vector<float> xs = activations(unit, x, m);
      double sum = 0;
      for (std::size_t k = 0; k < xs.size(); ++k) sum += static_cast<double>(xs[k]) * weights[k];
      put(unit, y, m, n, sum);
    }
  }
}

void mend_across(const Unit& unit, const Matrix& x, const PackedRows& w, const Output& y) {
  if (y.finite) return;
  const int group = w.format().group_size;
  std::vector<bool> is_odd(static_cast<std::size_t>(w.length() / group), false);
  for (std::int64_t k = 0; k < w.rows(); ++k) {
    for (const std::int64_t g : w.odd_groups(k)) is_odd[static_cast<std::size_t>(g)] = true;
  }
  std::vector<float> weights(static_cast<std::size_t>(w.length()));
  for (std::int64_t g = 0; g < w.length() / group; ++g) {
    if (!is_odd[static_cast<std::size_t>(g)]) continue;
    std::vector<double> sums(static_cast<std::size_t>(x.rows * group), 0.0);
    for (std::int64_t k = 0; k < w.rows(); ++k) {
      w.decode(k, weights.data());
      for (std::int64_t m = 0; m < x.rows; ++m) {
        float xs = 0;
        unit.load(x.at(m, k), x.element, 1, 1, &xs);
        for (int i = 0; i < group; ++i) {
          sums[static_cast<std::size_t>(m * group + i)] +=
              static_cast<double>(xs) * weights[static_cast<std::size_t>(g * group + i)];
        }
      }
    }
    for (std::int64_t m = 0; m < x.rows; ++m) {
      for (int i = 0; i < group; ++i) put(unit, y, m, g * group + i, sums[static_cast<std::size_t>(m * group + i)]);
    }
  }
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
