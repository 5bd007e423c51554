// The bounds that each precision states, where x and w are made to hurt it most.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/backend/kernel_data.h"
#include "tests/backend/kernel_units.h"
#include "tests/support/precision_bound.h"

namespace nibble_test {
namespace {

using nb::Precision;
using nb::detail::Format;
using nb::detail::MatmulKernel;
using nb::detail::Orientation;

class Bounds : public testing::TestWithParam<std::size_t> {
 protected:
  const UnitUnderTest& unit() const { return units_under_test()[GetParam()]; }

  /// |y − y*| / (‖x‖ ‖w‖) of the worst element, of each kernel that takes x · wᵀ (f32; w dense or packed).
  template <class Visit>
  void for_each_kernel(const Tensor& x, const Tensor& w, Visit&& visit) const {
    const Format* format = w.is_quantized() ? w.packing()->format : nullptr;
    const std::vector<float> packed = format != nullptr ? decoded(w) : std::vector<float>();
    const std::vector<double> xs = values_of(x);
    const std::vector<double> ws = format != nullptr ? std::vector<double>(packed.begin(), packed.end()) : values_of(w);
    for (const MatmulKernel& kernel : unit().kernels) {
      if (!kernel.supports({format, w.dtype(), Orientation::along, x.size(0), kernel.precision, false})) continue;
      const Tensor y = dense_matrix(x.size(0), w.size(0), DType::f32, Layout::contiguous);
      kernel.run({x, w, y, Orientation::along, kernel.precision, false});
      double worst = 0;
      for (std::int64_t m = 0; m < x.size(0); ++m) {
        for (std::int64_t n = 0; n < w.size(0); ++n) {
          double sum = 0, xx = 0, ww = 0;
          for (std::int64_t k = 0; k < x.size(1); ++k) {
            const double a = xs[static_cast<std::size_t>(m * x.size(1) + k)];
            const double b = ws[static_cast<std::size_t>(n * x.size(1) + k)];
            sum += a * b, xx += a * a, ww += b * b;
          }
          if (xx * ww > 0) worst = std::max(worst, std::abs(read(y, m, n) - sum) / std::sqrt(xx * ww));
        }
      }
      visit(kernel, worst);
    }
  }
};

/// What nibble/options.h states of exact where all terms have one sign, so that sums round one way for long.
constexpr double kExactOfOneSign = 5e-6;

/// One large activation a block sets the unit, half of which all others lose; w sees but those.
TEST_P(Bounds, HoldWhereEveryRoundingErrsOneWay) {
  Random random(seed());
  for (const Format* format : nb::detail::format_table()) {
    if (format->encode == nullptr) continue;
    const std::int64_t length = std::max(format->block, 256), n = 9;
    std::vector<Tensor> components = nb::detail::allocate_components(*format, {n, length}, DType::f32);
    for (const int block : {32, 64}) {
      std::vector<float> line(static_cast<std::size_t>(length), 1.f);
      for (std::int64_t k = 0; k < length; k += block) line[static_cast<std::size_t>(k)] = 0;
      for (std::int64_t r = 0; r < n; ++r) {
        format->encode(line.data(), length, nb::detail::mutable_packed_row(*format, components, r));
      }
      const Tensor w = nb::detail::make_packed(*format, components, {n, length}, DType::f32);
      for (const float most : {127.f, 32512.f}) {
        for (const std::int64_t rows : {1, 5, unit().emulated ? 17 : 40}) {
          const Tensor x = dense_matrix(rows, length, DType::f32, Layout::contiguous);
          for (std::int64_t m = 0; m < rows; ++m) {
            for (std::int64_t k = 0; k < length; ++k)
              write(x, m * length + k, k % block == 0 && m % 3 < 2 ? most : 0.5f);
            if (m % 3 == 1) write(x, m * length + 5, 2 * most);
          }
          for_each_kernel(x, w, [&](const MatmulKernel& kernel, double worst) {
            EXPECT_LE(worst, std::max(bound(kernel.precision), kExactOfOneSign))
                << kernel.name << ' ' << format->name << " blocks of " << block << ", " << rows << " rows of " << most;
          });
        }
      }
    }
  }
}

/// Rows of every magnitude, which squares in fp32 cannot all tell.
TEST_P(Bounds, HoldAtEveryMagnitude) {
  Random random(seed());
  const Tensor w = packed_matrix(*nb::detail::find_format("q4_0"), 5, 256, DType::f32, random);
  for (int exponent = -36; exponent <= 33; exponent += 3) {
    const Tensor x = dense_matrix(3, 256, DType::f32, Layout::contiguous);
    fill_normal(x, random, Values::outliers, std::pow(10.f, static_cast<float>(exponent)));
    for_each_kernel(x, w, [&](const MatmulKernel& kernel, double worst) {
      // Products below fp32's least normal number lose what no arithmetic in fp32 keeps.
      if (exponent < -30) return;
      EXPECT_LE(worst, bound(kernel.precision)) << kernel.name << " 1e" << exponent;
    });
  }
}

TEST_P(Bounds, OfExactGrowWithTermsOfOneSign) {
  const std::int64_t length = unit().emulated ? 4096 : 16384;
  const Tensor w = dense_matrix(3, length, DType::f32, Layout::contiguous);
  for (std::int64_t i = 0; i < w.numel(); ++i) write(w, 3 + i, 0.3f);
  for (const std::int64_t rows : {1, 5}) {
    const Tensor x = dense_matrix(rows, length, DType::f32, Layout::contiguous);
    for (std::int64_t i = 0; i < x.numel(); ++i) write(x, 3 + i, 0.1f);
    for_each_kernel(x, w, [&](const MatmulKernel& kernel, double worst) {
      EXPECT_LE(worst, kExactOfOneSign) << kernel.name << ' ' << rows;
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Units, Bounds, testing::Range(std::size_t{0}, units_under_test().size()),
                         [](const testing::TestParamInfo<std::size_t>& info) {
                           return units_under_test()[info.param].name;
                         });

}  // namespace
}  // namespace nibble_test
