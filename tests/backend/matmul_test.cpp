// Every kernel of every unit against fp64 on the reference decode.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "nibble/device.h"
#include "tests/backend/kernel_data.h"
#include "tests/backend/kernel_units.h"
#include "tests/support/precision_bound.h"

namespace nibble_test {
namespace {

using nb::Precision;
using nb::detail::Format;
using nb::detail::MatmulArgs;
using nb::detail::MatmulKernel;
using nb::detail::MatmulQuery;
using nb::detail::Orientation;

const std::vector<DType> kFloats = {DType::f32, DType::f16, DType::bf16};

/// Half a unit in the last place, relative.
double rounding(DType dtype) { return dtype == DType::f16 ? 0x1p-11 : dtype == DType::bf16 ? 0x1p-8 : 0x1p-24; }

struct Case {
  Tensor x, w, y;
  std::vector<double> weights;  ///< (N, K)
  Orientation orientation;
  std::string text;
};

std::int64_t contracted(const Case& c) { return c.orientation == Orientation::along ? c.w.size(1) : c.w.size(0); }
std::int64_t outputs(const Case& c) { return c.orientation == Orientation::along ? c.w.size(0) : c.w.size(1); }
double weight(const Case& c, std::int64_t output, std::int64_t k) {
  const bool along = c.orientation == Orientation::along;
  return c.weights[static_cast<std::size_t>((along ? output : k) * c.w.size(1) + (along ? k : output))];
}

MatmulQuery query_of(const Case& c, Precision precision, bool deterministic = false) {
  const Format* format = c.w.is_quantized() ? c.w.packing()->format : nullptr;
  return {format, c.w.dtype(), c.orientation, c.x.size(0), precision, deterministic};
}

struct Errors {
  double worst = 0;      ///< e of the worst element, what the dtype of y costs taken off
  double frobenius = 0;  ///< ‖y − y*‖ / ‖y*‖
};
Errors measure(const Case& c) {
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
Case random_case(Random& random, const Format* format, Orientation orientation, int rows, int most_columns) {
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

void run_kernel(const MatmulKernel& kernel, const Case& c, bool deterministic = false) {
  kernel.run({c.x, c.w, c.y, c.orientation, kernel.precision, deterministic});
}

/// All kernels of a unit that take the case, held to the precision that they state. `seen` counts for each.
void check(const UnitUnderTest& unit, const Case& c, std::map<std::string_view, int>* seen = nullptr) {
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
int random_rows(Random& random, bool emulated) {
  const int kind = pick(random, 0, 39);
  if (kind == 0) return emulated ? 129 : pick(random, 129, 400);
  return kind < 20 ? pick(random, 1, emulated ? 4 : 12) : pick(random, 1, emulated ? 9 : 33);
}

class Kernels : public testing::TestWithParam<std::size_t> {
 protected:
  const UnitUnderTest& unit() const { return units_under_test()[GetParam()]; }
  Random random() const { return Random(seed() + static_cast<unsigned>(GetParam())); }
};

TEST_P(Kernels, EveryFormatOrientationAndLayoutHoldsItsPrecision) {
  Random random = this->random();
  const int wanted = repetitions(unit().emulated ? 2000 : 10000);
  std::map<std::string_view, int> seen;
  for (const MatmulKernel& kernel : unit().kernels) seen[kernel.name] = 0;
  std::vector<const Format*> formats(nb::detail::format_table().begin(), nb::detail::format_table().end());
  formats.resize(formats.size() * 3 / 2, nullptr);  // dense
  const auto enough = [&](const auto& count) { return count.second >= wanted; };
  for (int round = 0; !std::all_of(seen.begin(), seen.end(), enough); ++round) {
    ASSERT_LT(round, 10 * wanted) << "some kernel takes none of the cases";
    for (const Orientation orientation : {Orientation::along, Orientation::across}) {
      const Format* format = formats[static_cast<std::size_t>(round) % formats.size()];
      check(unit(), random_case(random, format, orientation, random_rows(random, unit().emulated), 70), &seen);
      if (HasFailure()) return;
    }
  }
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

/// The bits of y of one kernel for `rows` rows of x from `first` on.
std::vector<double> bits(const MatmulKernel& kernel, const Case& c, std::int64_t first, std::int64_t rows,
                         bool deterministic) {
  const auto part = [&](const Tensor& t) {
    return nb::detail::make_view(t, {rows, t.size(1)}, t.impl().strides, t.impl().offset + first * t.impl().strides[0]);
  };
  Case some = c;
  some.x = part(c.x), some.y = part(c.y);
  run_kernel(kernel, some, deterministic);
  return values_of(some.y);
}

/// Dense weights that kernels take in pairs of bf16, where x is bf16, too.
Case bf16_pairs(Random& random, Orientation orientation) {
  Case c;
  c.orientation = orientation;
  c.w = dense_matrix(2 * pick(random, 1, 150), 2 * pick(random, 1, 300), DType::bf16, Layout::contiguous);
  fill_normal(c.w, random, Values::gaussian, 0.05f);
  c.weights = values_of(c.w);
  c.text = "dense pairs w " + nb::to_string(c.w.shape());
  return c;
}

TEST_P(Kernels, BitsDependOnNeitherThreadsNorOtherRows) {
  Random random = this->random();
  const int threads_before = nb::num_threads();
  struct Operands {
    const Format* format;
    DType x;
  };
  for (const auto& [format, dtype] : {Operands{nb::detail::find_format("affine4-g64"), DType::f32},
                                      {nb::detail::find_format("q5_1"), DType::bf16},
                                      {nb::detail::find_format("affine3-g128"), DType::f32},
                                      {nb::detail::find_format("q6_k"), DType::f32},
                                      {nb::detail::find_format("mxfp4_gguf"), DType::f32},
                                      {nullptr, DType::f32},
                                      {nullptr, DType::bf16}}) {
    for (const auto& [orientation, rows] : {std::pair{Orientation::along, 8},
                                            {Orientation::along, unit().emulated ? 9 : 150},
                                            {Orientation::across, unit().emulated ? 9 : 150}}) {
      Case c = random_case(random, format, orientation, 1, 300);
      if (format == nullptr && dtype == DType::bf16) c = bf16_pairs(random, orientation);
      c.x = dense_matrix(rows, contracted(c), dtype, Layout::contiguous);
      c.y = dense_matrix(c.x.size(0), outputs(c), DType::f32, Layout::contiguous);
      fill_normal(c.x, random, Values::outliers);
      for (const MatmulKernel& kernel : unit().kernels) {
        if (!kernel.supports(query_of(c, kernel.precision, true))) continue;
        nb::set_num_threads(1);
        const std::vector<double> one = bits(kernel, c, 0, c.x.size(0), true);
        const std::vector<double> few_rows = bits(kernel, c, 0, 3, false);
        for (const int threads : {2, 5}) {
          nb::set_num_threads(threads);
          EXPECT_EQ(bits(kernel, c, 0, c.x.size(0), true), one)
              << kernel.name << " threads " << threads << ' ' << c.text;
          EXPECT_EQ(bits(kernel, c, 0, 3, false), few_rows) << kernel.name << " threads " << threads << ' ' << c.text;
        }
        for (std::int64_t row = 0; row < c.x.size(0); row += 7) {
          const std::int64_t few = std::min<std::int64_t>(1 + row % 3, c.x.size(0) - row);
          const auto begin = one.begin() + row * outputs(c);
          EXPECT_EQ(bits(kernel, c, row, few, true), std::vector<double>(begin, begin + few * outputs(c)))
              << kernel.name << " row " << row << ' ' << c.text;
        }
      }
    }
  }
  nb::set_num_threads(threads_before);
}

/// How tall the sheets are that many rows of x pass over depends on threads.
TEST_P(Kernels, TallSheetsHaveTheSameBitsOnAnyNumberOfThreads) {
  if (unit().emulated) GTEST_SKIP() << "the loops around tiles are the processor's own";
  Random random = this->random();
  const int threads_before = nb::num_threads();
  constexpr std::int64_t kRows = 130, kOutputs = 600, kLength = 1088;
  Case c;
  c.orientation = Orientation::along;
  c.w = packed_matrix(*nb::detail::find_format("affine4-g64"), kOutputs, kLength, DType::f32, random);
  const std::vector<float> values = decoded(c.w);
  c.weights.assign(values.begin(), values.end());
  c.x = dense_matrix(kRows, kLength, DType::f32, Layout::contiguous);
  c.y = dense_matrix(kRows, kOutputs, DType::f32, Layout::contiguous);
  fill_normal(c.x, random, Values::outliers);
  c.text = "tall sheets";
  check(unit(), c);
  for (const MatmulKernel& kernel : unit().kernels) {
    if (!kernel.supports(query_of(c, kernel.precision, false))) continue;
    nb::set_num_threads(1);
    const std::vector<double> one = bits(kernel, c, 0, kRows, false);
    for (const int threads : {2, 5}) {
      nb::set_num_threads(threads);
      EXPECT_EQ(bits(kernel, c, 0, kRows, false), one) << kernel.name << " threads " << threads;
    }
  }
  nb::set_num_threads(threads_before);
}

/// Outputs so few that threads share what is summed.
TEST_P(Kernels, FewOutputsHaveTheSameBitsOnAnyNumberOfThreads) {
  Random random = this->random();
  const int threads_before = nb::num_threads();
  const std::int64_t length = unit().emulated ? 4096 : 9216;
  for (const Orientation orientation : {Orientation::along, Orientation::across}) {
    for (const bool packed : {false, true}) {
      const bool along = orientation == Orientation::along;
      const std::int64_t outputs = packed ? 64 : 20, rows = along ? outputs : length,
                         columns = along ? length : outputs;
      Case c;
      c.orientation = orientation;
      c.w = packed ? packed_matrix(*nb::detail::find_format("affine4-g64"), rows, columns, DType::f32, random)
                   : dense_matrix(rows, columns, DType::f32, Layout::contiguous);
      if (!packed) fill_normal(c.w, random, Values::gaussian);
      const std::vector<float> values = packed ? decoded(c.w) : std::vector<float>();
      c.weights = packed ? std::vector<double>(values.begin(), values.end()) : values_of(c.w);
      c.x = dense_matrix(7, length, DType::f32, Layout::contiguous);
      c.y = dense_matrix(7, outputs, DType::f32, Layout::contiguous);
      fill_normal(c.x, random, Values::gaussian);
      c.text = "few outputs";
      check(unit(), c);
      for (const MatmulKernel& kernel : unit().kernels) {
        if (!kernel.supports(query_of(c, kernel.precision, true))) continue;
        nb::set_num_threads(1);
        const std::vector<double> one = bits(kernel, c, 0, 7, true);
        nb::set_num_threads(5);
        EXPECT_EQ(bits(kernel, c, 0, 7, true), one) << kernel.name;
        EXPECT_EQ(bits(kernel, c, 0, 1, true), std::vector<double>(one.begin(), one.begin() + outputs)) << kernel.name;
      }
    }
  }
  nb::set_num_threads(threads_before);
}

/// The same packed matrix, each component of which ends where readable memory does.
Tensor at_the_edge(const Tensor& packed) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  auto packing = std::make_shared<nb::Packing>(*packed.packing());
  for (Tensor& component : packing->components) {
    const auto bytes = static_cast<std::size_t>(component.numel()) * nb::itemsize(component.dtype());
    const std::size_t readable = (bytes + page - 1) / page * page;
    auto* memory = static_cast<std::byte*>(
        mmap(nullptr, readable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(memory + readable, page, PROT_NONE);
    std::byte* data = memory + readable - bytes;
    std::memcpy(data, nb::detail::bytes_of(component), bytes);
    auto storage = std::make_shared<nb::detail::Storage>(data, bytes, component.device(), false,
                                                         [=] { munmap(memory, readable + page); });
    component = nb::detail::make_tensor(
        {component.shape(), component.impl().strides, 0, component.dtype(), std::move(storage), nullptr});
  }
  return nb::detail::make_tensor(
      {packed.shape(), packed.impl().strides, packed.impl().offset, packed.dtype(), nullptr, std::move(packing)});
}

TEST_P(Kernels, FewRowsOfEveryCountReadNothingPastTheEnd) {
  Random random = this->random();
  for (const Format* format : nb::detail::format_table()) {
    for (int rows = 1; rows <= 9; rows += unit().emulated ? 3 : 1) {
      const std::int64_t n = pick(random, 1, 9),
                         length = format->block * pick(random, 1, std::max(2, 700 / format->block));
      Case c;
      c.orientation = Orientation::along;
      c.w = at_the_edge(packed_matrix(*format, n, length, choose(random, kFloats), random));
      const std::vector<float> values = decoded(c.w);
      c.weights.assign(values.begin(), values.end());
      c.x = dense_matrix(rows, length, DType::f32, Layout::contiguous);
      c.y = dense_matrix(rows, n, DType::f32, Layout::contiguous);
      fill_normal(c.x, random, Values::outliers);
      c.text = std::string(format->name) + " w " + nb::to_string(c.w.shape()) + ", rows " + std::to_string(rows);
      check(unit(), c);
    }
  }
}

/// Rows of x too long for the first cache, where more packed rows may be read side by side, of which there are some
/// left over; they end in either half of what is read at once.
TEST_P(Kernels, FewRowsFarAwayHaveTheBitsOfOneAlone) {
  Random random = this->random();
  const int threads_before = nb::num_threads();
  const std::int64_t rows = 16;
  for (const Format* format : nb::detail::format_table()) {
    const std::int64_t length = (pick(random, 0, 1) == 0 ? 1600 : 1888) / format->block * format->block;
    for (const int n : {pick(random, 1, 9), unit().emulated ? 11 : 67}) {
      Case c;
      c.orientation = Orientation::along;
      c.w = at_the_edge(packed_matrix(*format, n, length, choose(random, kFloats), random));
      const std::vector<float> values = decoded(c.w);
      c.weights.assign(values.begin(), values.end());
      c.x = dense_matrix(rows, length, DType::f32, Layout::contiguous);
      c.y = dense_matrix(rows, n, DType::f32, Layout::contiguous);
      fill_normal(c.x, random, Values::outliers);
      c.text = std::string(format->name) + " w " + nb::to_string(c.w.shape());
      check(unit(), c);
      for (const MatmulKernel& kernel : unit().kernels) {
        if (kernel.precision == nb::Precision::exact || !kernel.supports(query_of(c, kernel.precision, true))) continue;
        nb::set_num_threads(1);
        const std::vector<double> all = bits(kernel, c, 0, rows, true);
        for (const int threads : {2, 5}) {
          nb::set_num_threads(threads);
          EXPECT_EQ(bits(kernel, c, 0, rows, true), all) << kernel.name << " threads " << threads << ' ' << c.text;
        }
        for (const auto& [row, few] : {std::pair<std::int64_t, std::int64_t>{0, 1}, {5, 1}, {15, 1}, {3, 13}}) {
          const auto begin = all.begin() + row * n;
          EXPECT_EQ(bits(kernel, c, row, few, true), std::vector<double>(begin, begin + few * n))
              << kernel.name << " row " << row << ' ' << c.text;
        }
      }
    }
  }
  nb::set_num_threads(threads_before);
}

/// Rows without gaps, of a length that few-row products read several of as one.
TEST_P(Kernels, RowsThatEndInsideAChunkShareIt) {
  Random random = this->random();
  const int threads_before = nb::num_threads();
  for (const Format* format : nb::detail::format_table()) {
    const std::int64_t blocks = (512 + format->block - 1) / format->block;
    const bool shared = format->name == "affine4-g64" || format->name == "q4_1";  // by threads
    const std::int64_t n = 16 * (shared ? 32 : pick(random, 1, 3)),
                       length = format->block * (blocks + pick(random, 0, 12));
    Case c;
    c.orientation = Orientation::along;
    c.w = at_the_edge(packed_matrix(*format, n, length, choose(random, kFloats), random));
    const std::vector<float> values = decoded(c.w);
    c.weights.assign(values.begin(), values.end());
    c.x = dense_matrix(1, length, DType::f32, Layout::contiguous);
    c.y = dense_matrix(1, n, DType::f32, Layout::contiguous);
    fill_normal(c.x, random, Values::outliers);
    c.text = std::string(format->name) + " w " + nb::to_string(c.w.shape());
    check(unit(), c);
    for (const MatmulKernel& kernel : unit().kernels) {
      if (!kernel.supports(query_of(c, kernel.precision))) continue;
      nb::set_num_threads(1);
      const std::vector<double> alone = bits(kernel, c, 0, 1, false);
      nb::set_num_threads(5);
      EXPECT_EQ(bits(kernel, c, 0, 1, false), alone) << kernel.name << ' ' << c.text;
    }
  }
  nb::set_num_threads(threads_before);
}

TEST_P(Kernels, NonFiniteActivationsGiveTheDensePattern) {
  Random random = this->random();
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const char* name : {"affine4-g64", "affine8-g32", "q4_0", "q8_0", "dense", "dense pairs"}) {
    for (const Orientation orientation : {Orientation::along, Orientation::across}) {
      const bool pairs = std::string_view(name) == "dense pairs";
      Case c = pairs ? bf16_pairs(random, orientation)
                     : random_case(random, nb::detail::find_format(name), orientation, 1, 40);
      c.x = dense_matrix(7, contracted(c), pairs ? DType::bf16 : DType::f32, Layout::contiguous);
      c.y = dense_matrix(7, outputs(c), DType::f32, Layout::contiguous);
      fill_normal(c.x, random, Values::gaussian);
      const auto set = [&](std::int64_t row, float value) {
        write(c.x, row * contracted(c) + pick(random, 0, static_cast<int>(contracted(c)) - 1), value);
      };
      set(1, infinity), set(2, nan), set(4, -infinity), set(5, infinity), set(5, -infinity);
      set(6, 3e38f);  // finite, but outside of what integers may carry
      for (const MatmulKernel& kernel : unit().kernels) {
        if (!kernel.supports(query_of(c, kernel.precision))) continue;
        run_kernel(kernel, c);
        for (std::int64_t m = 0; m < 7; ++m) {
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

TEST_P(Kernels, TinyActivationsKeepTheirPrecision) {
  Random random = this->random();
  for (const float size : {1e-20f, 1e-30f, 1e20f}) {
    Case c = random_case(random, nb::detail::find_format("affine4-g64"), Orientation::along, 3, 20);
    c.x = dense_matrix(3, contracted(c), DType::f32, Layout::contiguous);
    c.y = dense_matrix(3, outputs(c), DType::f32, Layout::contiguous);
    fill_normal(c.x, random, Values::gaussian, size);
    check(unit(), c);
  }
}

TEST_P(Kernels, EmptySizes) {
  Random random = this->random();
  const Format& format = *nb::detail::find_format("affine4-g64");
  for (const auto& [rows, n, length] : {std::array<int, 3>{0, 5, 64}, {3, 0, 64}, {3, 5, 0}}) {
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

INSTANTIATE_TEST_SUITE_P(Units, Kernels, testing::Range(std::size_t{0}, units_under_test().size()),
                         [](const testing::TestParamInfo<std::size_t>& info) {
                           return units_under_test()[info.param].name;
                         });

}  // namespace
}  // namespace nibble_test
