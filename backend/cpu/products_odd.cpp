// Weights whose scale is infinite or NaN: kernels compute with scales apart from codes, which then gives another
// pattern of infinities and NaN than a dense product does. Such a scale always leaves a sum that is not finite, so
// whoever sees none has nothing to do, and those that were hit are computed again here. Nor has a row of x with a NaN:
// that makes every sum of it one.

#include <algorithm>
#include <cmath>
#include <vector>

#include "backend/common/executor.h"
#include "backend/cpu/products.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

constexpr std::int64_t kTask = 1 << 14;  // weights that are worth a thread

/// Row m of x as fp32.
std::vector<float> activations(const Unit& unit, const Matrix& x, std::int64_t m) {
  std::vector<float> values(static_cast<std::size_t>(x.columns));
  unit.load(x.at(m, 0), x.element, x.column_stride, x.columns, values.data());
  return values;
}

/// The rows of x that a scale can have hit.
std::vector<std::int64_t> rows_without_nan(const Unit& unit, const Matrix& x) {
  std::vector<std::int64_t> rows;
  for (std::int64_t m = 0; m < x.rows; ++m) {
    const std::vector<float> values = activations(unit, x, m);
    if (std::none_of(values.begin(), values.end(), [](float v) { return std::isnan(v); })) rows.push_back(m);
  }
  return rows;
}

/// Calls body(i) for each i in [0, count), each of which looks at `weights` weights, on several threads.
template <class Body>
void for_each_parallel(std::int64_t count, std::int64_t weights, Body&& body) {
  parallel_ranges(count, kTask / std::max<std::int64_t>(1, weights) + 1, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) body(i);
  });
}

void put(const Unit& unit, const Output& y, std::int64_t m, std::int64_t n, double sum) {
  const auto rounded = static_cast<float>(sum);
  unit.store(&rounded, 1, y.at(m, n), y.element, y.column_stride);
}

/// The blocks along w in which some row has an odd scale.
std::vector<std::int64_t> odd_blocks(const PackedRows& w) {
  const std::int64_t rows = w.rows(), blocks = w.length() / w.cut(), group = w.format().group_size;
  std::vector<unsigned char> is_odd(static_cast<std::size_t>(blocks), 0);
  std::vector<std::vector<std::int64_t>> groups(static_cast<std::size_t>(rows));
  for_each_parallel(rows, w.length(), [&](std::int64_t k) { groups[static_cast<std::size_t>(k)] = w.odd_groups(k); });
  for (const std::vector<std::int64_t>& of_row : groups) {
    for (const std::int64_t g : of_row) is_odd[static_cast<std::size_t>(g * group / w.cut())] = 1;
  }
  std::vector<std::int64_t> odd;
  for (std::int64_t b = 0; b < blocks; ++b) {
    if (is_odd[static_cast<std::size_t>(b)] != 0) odd.push_back(b);
  }
  return odd;
}

}  // namespace

void mend_along(const Unit& unit, const Matrix& x, const PackedRows& w, const Output& y) {
  if (y.finite) return;
  const std::vector<std::int64_t> rows = rows_without_nan(unit, x);
  if (rows.empty()) return;
  for_each_parallel(w.rows(), w.length(), [&](std::int64_t n) {
    if (w.odd_groups(n).empty()) return;
    std::vector<float> weights(static_cast<std::size_t>(w.length()));
    w.decode(n, 0, w.length(), weights.data());
    for (const std::int64_t m : rows) {
      const std::vector<float> xs = activations(unit, x, m);
      double sum = 0;
      for (std::size_t k = 0; k < xs.size(); ++k) sum += static_cast<double>(xs[k]) * weights[k];
      put(unit, y, m, n, sum);
    }
  });
}

void mend_across(const Unit& unit, const Matrix& x, const PackedRows& w, const Output& y) {
  if (y.finite) return;
  const std::vector<std::int64_t> rows = rows_without_nan(unit, x);
  if (rows.empty()) return;
  const std::vector<std::int64_t> odd = odd_blocks(w);
  const std::int64_t width = w.cut();
  for_each_parallel(static_cast<std::int64_t>(odd.size()), w.rows() * width, [&](std::int64_t i) {
    const std::int64_t begin = odd[static_cast<std::size_t>(i)] * width;
    std::vector<float> weights(static_cast<std::size_t>(width));
    std::vector<double> sums(rows.size() * weights.size(), 0.0);
    for (std::int64_t k = 0; k < w.rows(); ++k) {
      w.decode(k, begin, width, weights.data());
      double* sum = sums.data();
      for (const std::int64_t m : rows) {
        float xs = 0;
        unit.load(x.at(m, k), x.element, 1, 1, &xs);
        for (const float weight : weights) *sum++ += static_cast<double>(xs) * weight;
      }
    }
    const double* sum = sums.data();
    for (const std::int64_t m : rows) {
      for (std::int64_t j = 0; j < width; ++j) put(unit, y, m, begin + j, *sum++);
    }
  });
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
