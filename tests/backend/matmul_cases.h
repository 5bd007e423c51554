#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/device.h"
#include "tests/backend/kernel_data.h"
#include "tests/backend/kernel_units.h"
#include "tests/support/precision_bound.h"

// Products as the tests of all kernels take them, and how far a kernel's are from fp64.
namespace nibble_test {

using nb::Precision;
using nb::detail::Format;
using nb::detail::MatmulArgs;
using nb::detail::MatmulKernel;
using nb::detail::MatmulQuery;
using nb::detail::Orientation;

inline const std::vector<DType> kFloats = {DType::f32, DType::f16, DType::bf16};

/// Half a unit in the last place, relative.
inline double rounding(DType dtype) { return dtype == DType::f16 ? 0x1p-11 : dtype == DType::bf16 ? 0x1p-8 : 0x1p-24; }

struct Case {
  Tensor x, w, y;
  std::vector<double> weights;  ///< (N, K)
  Orientation orientation;
  std::string text;
};

inline std::int64_t contracted(const Case& c) {
  return c.orientation == Orientation::along ? c.w.size(1) : c.w.size(0);
}
inline std::int64_t outputs(const Case& c) { return c.orientation == Orientation::along ? c.w.size(0) : c.w.size(1); }
inline double weight(const Case& c, std::int64_t output, std::int64_t k) {
  const bool along = c.orientation == Orientation::along;
  return c.weights[static_cast<std::size_t>((along ? output : k) * c.w.size(1) + (along ? k : output))];
}

inline MatmulQuery query_of(const Case& c, Precision precision, bool deterministic = false) {
  const Format* format = c.w.is_quantized() ? c.w.packing()->format : nullptr;
  return {format, c.w.dtype(), c.orientation, c.x.size(0), precision, deterministic};
}

struct Errors {
  double worst = 0;      ///< e of the worst element, what the dtype of y costs taken off
  double frobenius = 0;  ///< ‖y − y*‖ / ‖y*‖
};
inline Errors measure(const Case& c) {
  Errors errors;
  double missed = 0, total = 0;
  const std::vector<double> xs = values_of(c.x);
  const std::int64_t length = contracted(c);
  const bool along = c.orientation == Orientation::along;
  const std::int64_t step_n = along ? c.w.size(1) : 1, step_k = along ? 1 : c.w.size(1);
  for (std::int64_t m = 0; m < c.x.size(0); ++m) {
    for (std::int64_t n = 0; n < outputs(c); ++n) {
      double sum = 0, xx = 0, ww = 0;
      const double* x = xs.data() + m * length;
      const double* w = c.weights.data() + n * step_n;
      for (std::int64_t k = 0; k < length; ++k, w += step_k) sum += x[k] * *w, xx += x[k] * x[k], ww += *w * *w;
      const double y = read(c.y, m, n), miss = std::abs(y - sum);
      const double allowed = rounding(c.y.dtype()) * std::abs(sum) + (c.y.dtype() == DType::f16 ? 0x1p-24 : 0);
      const double norm = std::sqrt(xx * ww);
      if (!std::isfinite(y)) return {std::numeric_limits<double>::infinity(), 0};
      if (miss > allowed) errors.worst = std::max(errors.worst, norm > 0 ? (miss - allowed) / norm : miss * 1e30);
      missed += miss * miss, total += sum * sum;
    }
  }
  errors.frobenius = total > 0 ? std::sqrt(missed / total) : 0;
  return errors;
}

/// A case of random layout for a format (null: dense).
inline Case random_case(Random& random, const Format* format, Orientation orientation, int rows, int most_columns) {
  const auto layout = [&](bool output) { return static_cast<Layout>(pick(random, 0, output ? 2 : 4)); };
  Case c;
  c.orientation = orientation;
  const std::int64_t n = pick(random, 1, most_columns);
  std::int64_t length;
  if (format != nullptr) {
    const int block = format->block;
    length = block * pick(random, 1, std::max(2, 700 / block));
    const std::int64_t begin = block * pick(random, 0, 2), step = pick(random, 0, 2), first = pick(random, 0, 2);
    const DType scales = choose(random, kFloats);
    const Tensor whole = packed_matrix(*format, first + step * (n - 1) + 1, begin + length + block, scales, random);
    c.w = packed_view(whole, first, step, n, begin, length);
    const std::vector<float> values = decoded(c.w);
    c.weights.assign(values.begin(), values.end());
    c.text = std::string(format->name) + " scales " + std::string(nb::name(scales)) + " begin " +
             std::to_string(begin) + " step " + std::to_string(step);
  } else {
    length = pick(random, 1, 600);
    const DType dtype = choose(random, kFloats);
    c.w = dense_matrix(n, length, dtype, layout(false));
    fill_normal(c.w, random, Values::gaussian, 0.05f);
    c.weights = values_of(c.w);
    c.text = std::string("dense ") + std::string(nb::name(dtype)) + " strides " + nb::to_string(c.w.impl().strides);
  }
  c.x = dense_matrix(rows, contracted(c), choose(random, kFloats), layout(false));
  fill_normal(c.x, random, pick(random, 0, 1) == 0 ? Values::gaussian : Values::outliers);
  c.y = dense_matrix(rows, outputs(c), choose(random, kFloats), layout(true));
  c.text += " w " + nb::to_string(c.w.shape()) + (orientation == Orientation::along ? " along" : " across") + " x " +
            nb::describe(c.x) + " strides " + nb::to_string(c.x.impl().strides) + " y " + nb::describe(c.y) +
            " strides " + nb::to_string(c.y.impl().strides);
  return c;
}

/// Dense weights that kernels take in pairs of bf16, where x is bf16, too.
inline Case bf16_pairs(Random& random, Orientation orientation) {
  Case c;
  c.orientation = orientation;
  c.w = dense_matrix(2 * pick(random, 1, 150), 2 * pick(random, 1, 300), DType::bf16, Layout::contiguous);
  fill_normal(c.w, random, Values::gaussian, 0.05f);
  c.weights = values_of(c.w);
  c.text = "dense pairs w " + nb::to_string(c.w.shape());
  return c;
}

/// Rows of x with outliers by rows of packed weights, all without gaps.
inline Case packed_case(const Tensor& packed, std::int64_t rows, Random& random) {
  Case c;
  c.orientation = Orientation::along;
  c.w = packed;
  const std::vector<float> values = decoded(c.w);
  c.weights.assign(values.begin(), values.end());
  c.x = dense_matrix(rows, contracted(c), DType::f32, Layout::contiguous);
  c.y = dense_matrix(rows, outputs(c), DType::f32, Layout::contiguous);
  fill_normal(c.x, random, Values::outliers);
  c.text = std::string(c.w.packing()->format->name) + " w " + nb::to_string(c.w.shape());
  return c;
}

inline void run_kernel(const MatmulKernel& kernel, const Case& c, bool deterministic = false) {
  kernel.run({c.x, c.w, c.y, c.orientation, kernel.precision, deterministic});
}

/// All kernels of a unit that take the case, held to the precision that they state. `seen` counts for each.
inline void check(const UnitUnderTest& unit, const Case& c, std::map<std::string_view, int>* seen = nullptr) {
  for (const MatmulKernel& kernel : unit.kernels) {
    if (!kernel.supports(query_of(c, kernel.precision))) continue;
    if (seen != nullptr) ++(*seen)[kernel.name];
    const std::int64_t buffer = static_cast<std::int64_t>(c.y.impl().storage->bytes() / nb::itemsize(c.y.dtype()));
    for (std::int64_t i = 0; i < buffer; ++i) write(nb::detail::make_view(c.y, {buffer}, {1}, 0), i, kGuard);
    const std::int64_t before = guards(c.y);
    run_kernel(kernel, c);
    EXPECT_LE(measure(c).worst, bound(kernel.precision)) << kernel.name << " on " << unit.name << ": " << c.text;
    EXPECT_EQ(before - guards(c.y), c.y.numel()) << kernel.name << " wrote outside y: " << c.text;
  }
}

/// Half of all cases have so few rows that kernels for them run, and a few so many that products are cut differently.
inline int random_rows(Random& random, bool emulated) {
  const int kind = pick(random, 0, 39);
  if (kind == 0) return emulated ? 129 : pick(random, 129, 400);
  return kind < 20 ? pick(random, 1, emulated ? 4 : 12) : pick(random, 1, emulated ? 9 : 33);
}

class Kernels : public testing::TestWithParam<std::size_t> {
 protected:
  const UnitUnderTest& unit() const { return units_under_test()[GetParam()]; }
  Random random() const { return Random(seed() + static_cast<unsigned>(GetParam())); }
};

}  // namespace nibble_test
