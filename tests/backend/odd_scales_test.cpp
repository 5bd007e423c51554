// Scales, biases and codes that are infinite or NaN, anywhere in a packed weight: kernels, decoders and gathers give
// the pattern of infinities and NaN that a dense product with the reference's decode has.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "backend/cpu/weights.h"
#include "tests/backend/kernel_data.h"
#include "tests/backend/kernel_units.h"

namespace nibble_test {
namespace {

using nb::detail::Format;
using nb::detail::MatmulKernel;
using nb::detail::Orientation;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// A scale that is no number: the group is infinite or NaN.
bool spoil_exponent(const Tensor& packed, Random& random, float value) {
  const nb::Packing& packing = *packed.packing();
  if (value != kInfinity) return false;
  const Tensor& scales = packing.components[1];
  nb::detail::mutable_bytes(scales)[pick(random, 0, static_cast<int>(scales.numel()) - 1)] = std::byte{255};
  return true;
}

/// Of E5M2: a code that is infinite.
bool spoil_code(const Tensor& packed, Random& random, float value) {
  const nb::Packing& packing = *packed.packing();
  if (packing.format->name != "fp8_e5m2" || !std::isinf(value)) return false;
  const Tensor& codes = packing.components[0];
  nb::detail::mutable_bytes(codes)[pick(random, 0, static_cast<int>(codes.nbytes()) - 1)] =
      value > 0 ? std::byte{0x7c} : std::byte{0xfc};
  return true;
}

/// Puts the value into the place of a scale or, where the format has one, of a bias or a code; false where there is
/// none for it.
bool spoil(const Tensor& packed, Random& random, float value) {
  const nb::Packing& packing = *packed.packing();
  if (spoil_code(packed, random, value)) return true;
  std::vector<Tensor> floats;  // scales, biases
  for (const Tensor& t : packing.components) {
    if (is_floating(t.dtype())) floats.push_back(t);
  }
  if (!floats.empty()) {
    const Tensor& t = choose(random, floats);
    write(t, pick(random, 0, static_cast<int>(t.numel()) - 1), value);
    return true;
  }
  if (packing.components.size() > 1) return spoil_exponent(packed, random, value);
  const Tensor& blocks = packing.components[0];
  const int block = static_cast<int>(packing.format->width(0, packing.format->block));
  std::byte* bytes =
      nb::detail::mutable_bytes(blocks) + pick(random, 0, static_cast<int>(blocks.numel()) / block - 1) * block;
  // Where a block has them, the decoded values tell.
  std::vector<float> values(static_cast<std::size_t>(packing.format->block));
  const std::vector<std::byte> before(bytes, bytes + block);
  const nb::float16 half(value);
  // What is neither infinite nor near it: sums of those are told apart.
  const auto is_ordinary = [](float v) { return !std::isfinite(v) || std::abs(v) < 1e30f; };
  for (int tries = 0; tries < 1000; ++tries) {
    std::byte* place = bytes + pick(random, 0, block / 2 - 2) * 2;
    tries % 2 == 0 ? std::memcpy(place, &half, 2) : std::memcpy(place, &value, 4);
    nb::detail::PackedRow row;
    row.component[0] = bytes;
    packing.format->decode(row, 0, packing.format->block, values.data());
    const bool all_finite = std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
    if (!all_finite && std::all_of(values.begin(), values.end(), is_ordinary)) return true;
    std::copy(before.begin(), before.end(), bytes);
  }
  return false;
}

class OddScales : public testing::TestWithParam<std::size_t> {
 protected:
  const UnitUnderTest& unit() const { return units_under_test()[GetParam()]; }
};

void expect_pattern(double y, double expected, const std::string& what) {
  ASSERT_EQ(std::isnan(y), std::isnan(expected)) << what;
  if (std::isinf(expected)) {
    ASSERT_EQ(y, expected) << what;
  } else if (!std::isnan(expected)) {
    ASSERT_NEAR(y, expected, 0.1 * std::max(1.0, std::abs(expected))) << what;
  }
}

TEST_P(OddScales, GiveTheDensePattern) {
  Random random(seed());
  for (const Format* format : nb::detail::format_table()) {
    for (const float value : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
      for (const Orientation orientation : {Orientation::along, Orientation::across}) {
        const std::int64_t n = pick(random, 3, 20),
                           length = format->block * pick(random, 1, std::max(2, 300 / format->block));
        const DType scales = pick(random, 0, 1) == 0 ? DType::f16 : DType::bf16;
        const Tensor w = packed_matrix(*format, n, length, scales, random);
        if (!spoil(w, random, value)) continue;
        spoil(w, random, value);
        const std::vector<float> weights = decoded(w);
        const bool along = orientation == Orientation::along;
        const std::int64_t contracted = along ? length : n, outputs = along ? n : length;
        for (const int rows : {1, 4, 14}) {
          const Tensor x = dense_matrix(rows, contracted, DType::f32, Layout::contiguous);
          fill_normal(x, random, Values::gaussian);
          for (std::int64_t k = 0; k < contracted; ++k) write(x, k, 1);  // leaves infinities infinite
          if (rows > 1) write(x, contracted + contracted / 2, 0);        // makes NaN of one
          if (rows > 2) write(x, 2 * contracted + contracted / 2, kInfinity);
          for (const MatmulKernel& kernel : unit().kernels) {
            if (!kernel.supports({format, DType::f32, orientation, rows, kernel.precision, false})) continue;
            const Tensor y = dense_matrix(rows, outputs, DType::f32, Layout::contiguous);
            kernel.run({x, w, y, orientation, kernel.precision, false});
            for (std::int64_t m = 0; m < rows; ++m) {
              for (std::int64_t o = 0; o < outputs; ++o) {
                double sum = 0;
                for (std::int64_t k = 0; k < contracted; ++k) {
                  sum += read(x, m, k) * weights[static_cast<std::size_t>(along ? o * length + k : k * length + o)];
                }
                expect_pattern(read(y, m, o), sum, std::string(kernel.name) + ' ' + std::string(format->name));
                if (HasFatalFailure()) return;
              }
            }
          }
        }
      }
    }
  }
}

TEST_P(OddScales, DecodeAsTheReferenceDoes) {
  Random random(seed());
  for (const Format* format : nb::detail::format_table()) {
    for (const float value : {kInfinity, -kInfinity}) {
      const Tensor w = packed_matrix(*format, 4, 4 * format->block, DType::f16, random);
      if (!spoil(w, random, value)) continue;
      const std::vector<float> expected = decoded(w);
      const nb::detail::cpu::PackedRows rows(*unit().unit, w);
      std::vector<float> got(expected.size());
      for (std::int64_t r = 0; r < 4; ++r) {
        for (std::int64_t k = 0; k < w.size(1); k += format->block) {
          rows.values(r, k, format->block, got.data() + r * w.size(1) + k);
        }
      }
      for (std::size_t i = 0; i < got.size(); ++i) {
        expect_pattern(got[i], expected[i], std::string(format->name));
        if (HasFatalFailure()) return;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Units, OddScales, testing::Range(std::size_t{0}, units_under_test().size()),
                         [](const testing::TestParamInfo<std::size_t>& info) {
                           return units_under_test()[info.param].name;
                         });

}  // namespace
}  // namespace nibble_test
