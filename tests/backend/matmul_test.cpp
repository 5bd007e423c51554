// Every kernel of every unit against fp64 on the reference decode.
#include <cstdio>

#include "tests/backend/matmul_cases.h"

namespace nibble_test {
namespace {

void tell(const char* unit, int rounds, const std::map<std::string_view, int>& seen) {
  std::printf("%s: %d rounds; cases:", unit, rounds);
  for (const auto& [kernel, cases] : seen)
    std::printf(" %.*s %d", static_cast<int>(kernel.size()), kernel.data(), cases);
  std::printf("\n");
  std::fflush(stdout);
}

TEST_P(Kernels, EveryFormatOrientationAndLayoutHoldsItsPrecision) {
  Random random = this->random();
  const int wanted = repetitions(unit().emulated ? 2000 : 10000);
  std::map<std::string_view, int> seen;
  for (const MatmulKernel& kernel : unit().kernels) seen[kernel.name] = 0;
  std::vector<const Format*> formats(nb::detail::format_table().begin(), nb::detail::format_table().end());
  formats.resize(formats.size() * 3 / 2, nullptr);  // dense
  const auto enough = [&](const auto& count) { return count.second >= wanted; };
  int round = 0;
  for (; !std::all_of(seen.begin(), seen.end(), enough); ++round) {
    if (soaks() && round % 1000 == 0) tell(unit().name.c_str(), round, seen);
    ASSERT_LT(round, 1000 * wanted) << "some kernel takes none of the cases";
    for (const Orientation orientation : {Orientation::along, Orientation::across}) {
      const Format* format = formats[static_cast<std::size_t>(round) % formats.size()];
      const int rows = random_rows(random, unit().emulated);
      // Kernels of a few formats want cases long after the others have theirs.
      const auto wants = [&](const MatmulKernel& kernel) {
        return seen[kernel.name] < wanted &&
               kernel.supports({format, DType::f32, orientation, rows, kernel.precision, false});
      };
      if (!std::any_of(unit().kernels.begin(), unit().kernels.end(), wants)) continue;
      check(unit(), random_case(random, format, orientation, rows, 70), &seen);
      if (HasFailure()) return;
    }
  }
  if (soaks()) tell(unit().name.c_str(), round, seen);
}

TEST_P(Kernels, ReferenceDistributionsStayWithinFrobeniusBound) {
  Random random = this->random();
  for (const char* name : {"affine4-g64", "affine4-g128", "affine8-g64", "affine2-g32", "q4_1", "q8_0"}) {
    for (const Values values : {Values::gaussian, Values::outliers}) {
      Case c{dense_matrix(3, 2048, DType::f32, Layout::contiguous),
             packed_matrix(*nb::detail::find_format(name), unit().emulated ? 17 : 64, 2048, DType::f16, random),
             {},
             {},
             Orientation::along,
             name};
      fill_normal(c.x, random, values);
      c.y = dense_matrix(3, c.w.size(0), DType::f32, Layout::contiguous);
      const std::vector<float> weights = decoded(c.w);
      c.weights.assign(weights.begin(), weights.end());
      for (const MatmulKernel& kernel : unit().kernels) {
        if (!kernel.supports(query_of(c, kernel.precision))) continue;
        run_kernel(kernel, c);
        EXPECT_LE(measure(c).frobenius, kernel.precision == Precision::fast ? 3e-2 : bound(kernel.precision))
            << kernel.name << ' ' << name;
      }
    }
  }
}

/// Rows of x that some kernel takes only together: few by few, as lanes, as tiles.
std::vector<int> row_counts(const UnitUnderTest& unit) {
  return unit.emulated ? std::vector<int>{7, 14} : std::vector<int>{7, 14, 40};
}

TEST_P(Kernels, NonFiniteActivationsGiveTheDensePattern) {
  Random random = this->random();
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const char* name :
       {"affine2-g32", "affine4-g64", "affine8-g32", "q2_k", "q4_0", "q8_0", "iq4_nl", "dense", "dense pairs"}) {
    for (const Orientation orientation : {Orientation::along, Orientation::across}) {
      for (const int rows : row_counts(unit())) {
        const bool pairs = std::string_view(name) == "dense pairs";
        Case c = pairs ? bf16_pairs(random, orientation)
                       : random_case(random, nb::detail::find_format(name), orientation, 1, 40);
        c.x = dense_matrix(rows, contracted(c), pairs ? DType::bf16 : DType::f32, Layout::contiguous);
        c.y = dense_matrix(rows, outputs(c), DType::f32, Layout::contiguous);
        fill_normal(c.x, random, Values::gaussian);
        const auto set = [&](std::int64_t row, float value) {
          write(c.x, row * contracted(c) + pick(random, 0, static_cast<int>(contracted(c)) - 1), value);
        };
        set(1, infinity), set(2, nan), set(4, -infinity), set(5, infinity), set(5, -infinity);
        set(6, 3e38f);  // finite, but outside of what integers may carry
        set(rows - 1, nan);
        for (const MatmulKernel& kernel : unit().kernels) {
          if (!kernel.supports(query_of(c, kernel.precision))) continue;
          run_kernel(kernel, c);
          for (std::int64_t m = 0; m < rows; ++m) {
            for (std::int64_t n = 0; n < outputs(c); ++n) {
              double sum = 0;
              for (std::int64_t k = 0; k < contracted(c); ++k) sum += read(c.x, m, k) * weight(c, n, k);
              const double y = read(c.y, m, n);
              ASSERT_EQ(std::isnan(y), std::isnan(sum)) << kernel.name << " row " << m << ' ' << c.text;
              if (std::isinf(sum)) {
                ASSERT_EQ(y, sum) << kernel.name << ' ' << c.text;
              }
              if (std::isfinite(sum) && std::abs(sum) < 3e38) {
                ASSERT_NEAR(y, sum, 2e-2 * std::max(10.0, std::abs(sum))) << kernel.name << " row " << m;
              }
            }
          }
        }
      }
    }
  }
}

TEST_P(Kernels, TinyActivationsKeepTheirPrecision) {
  Random random = this->random();
  for (const float size : {1e-20f, 1e-30f, 1e20f}) {
    for (const int rows : {3, 14}) {
      Case c = random_case(random, nb::detail::find_format("affine4-g64"), Orientation::along, rows, 20);
      c.x = dense_matrix(rows, contracted(c), DType::f32, Layout::contiguous);
      c.y = dense_matrix(rows, outputs(c), DType::f32, Layout::contiguous);
      fill_normal(c.x, random, Values::gaussian, size);
      check(unit(), c);
    }
  }
}

TEST_P(Kernels, EmptySizes) {
  Random random = this->random();
  const Format& format = *nb::detail::find_format("affine4-g64");
  for (const auto& [rows, n, length] : {std::array<int, 3>{0, 5, 64}, {3, 0, 64}, {3, 5, 0}, {14, 0, 64}, {14, 5, 0}}) {
    for (const Orientation orientation : {Orientation::along, Orientation::across}) {
      for (const bool packed : {true, false}) {
        Case c;
        c.orientation = orientation;
        c.w = packed ? packed_matrix(format, n, length, DType::f32, random)
                     : dense_matrix(n, length, DType::bf16, Layout::contiguous);
        c.x = dense_matrix(rows, contracted(c), DType::f32, Layout::contiguous);
        c.y = dense_matrix(rows, outputs(c), DType::f16, Layout::gaps);
        for (const MatmulKernel& kernel : unit().kernels) {
          if (!kernel.supports(query_of(c, kernel.precision))) continue;
          run_kernel(kernel, c);
          if (contracted(c) != 0) continue;
          for (const double y : values_of(c.y)) EXPECT_EQ(y, 0) << kernel.name;
        }
      }
    }
  }
}

TEST_P(Kernels, ManyRowsCrossTheBlocks) {
  Random random = this->random();
  const std::int64_t rows = unit().emulated ? 130 : 700;
  for (const Orientation orientation : {Orientation::along, Orientation::across}) {
    for (const Format* format : {nb::detail::find_format("q4_1"), static_cast<const Format*>(nullptr)}) {
      Case c = random_case(random, format, orientation, 1, 9);
      c.x = dense_matrix(rows, contracted(c), DType::f32, Layout::transposed);
      c.y = dense_matrix(rows, outputs(c), DType::bf16, Layout::gaps);
      fill_normal(c.x, random, Values::gaussian);
      check(unit(), c);
    }
  }
}

/// Rows of weights longer than are decoded at once, more of them than a tile has, and panels of rows of x that are not
/// full.
TEST_P(Kernels, LongRowsCrossTheCuts) {
  Random random = this->random();
  for (const auto& [name, length] :
       {std::pair{"affine4-g64", 4160}, {"affine3-g128", 2176}, {"affine5-g32", 2080}, {"q8_0", 1056}}) {
    const Format& format = *nb::detail::find_format(name);
    for (const int rows : unit().emulated ? std::vector<int>{9} : std::vector<int>{9, 145}) {
      Case c{dense_matrix(rows, length, DType::f32, Layout::contiguous),
             packed_matrix(format, unit().emulated ? 11 : 67, length, DType::bf16, random),
             {},
             {},
             Orientation::along,
             name};
      fill_normal(c.x, random, Values::outliers);
      c.y = dense_matrix(rows, c.w.size(0), DType::f32, Layout::gaps);
      const std::vector<float> weights = decoded(c.w);
      c.weights.assign(weights.begin(), weights.end());
      check(unit(), c);
    }
  }
}

TEST_P(Kernels, SupportsOnlyWhatItStates) {
  for (const MatmulKernel& kernel : unit().kernels) {
    EXPECT_FALSE(kernel.supports({nullptr, DType::i32, Orientation::along, 1, Precision::fast, false})) << kernel.name;
    if (kernel.precision != Precision::exact) {
      EXPECT_FALSE(kernel.supports(
          {nb::detail::find_format("affine4-g64"), DType::f32, Orientation::along, 1, Precision::exact, false}))
          << kernel.name;
    }
  }
}

/// A kernel whose rows end must not leave its queries to a slower one of higher precision.
TEST_P(Kernels, FastTakesAFastKernelWhereThereIsOne) {
  for (const Format* format : nb::detail::format_table()) {
    for (int rows = 1; rows <= 140; ++rows) {
      const MatmulQuery query{format, DType::f32, Orientation::along, rows, Precision::fast, false};
      const auto is_fast = [&](const MatmulKernel& k) { return k.precision == Precision::fast && k.supports(query); };
      if (!std::any_of(unit().kernels.begin(), unit().kernels.end(), is_fast)) continue;
      const MatmulKernel* best = nb::detail::best_kernel(unit().kernels, query);
      EXPECT_EQ(best->precision, Precision::fast) << best->name << ' ' << format->name << " rows " << rows;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Units, Kernels, testing::Range(std::size_t{0}, units_under_test().size()),
                         [](const testing::TestParamInfo<std::size_t>& info) {
                           return units_under_test()[info.param].name;
                         });

}  // namespace
}  // namespace nibble_test
