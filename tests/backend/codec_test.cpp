// The CPU's decoders and codecs against the formats' scalar reference.
#include "backend/cpu/codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "backend/common/backend.h"
#include "backend/cpu/products.h"
#include "backend/cpu/weights.h"
#include "nibble/error.h"
#include "tests/backend/kernel_data.h"
#include "tests/backend/kernel_units.h"

namespace nibble_test {
namespace {

using nb::detail::Format;
const std::vector<DType> kFloats = {DType::f32, DType::f16, DType::bf16};

std::vector<float> rounded(const std::vector<float>& values, DType dtype) {
  std::vector<float> out = values;
  for (float& v : out) {
    if (dtype == DType::f16) v = static_cast<float>(nb::float16(v));
    if (dtype == DType::bf16) v = static_cast<float>(nb::bfloat16(v));
  }
  return out;
}
std::vector<float> all_of(const Tensor& t) {
  std::vector<float> out;
  for (std::int64_t i = 0; i < t.numel(); ++i) out.push_back(static_cast<float>(read(t, i)));
  return out;
}

TEST(Decoders, EveryUnitDecodesEveryFormatExactly) {
  Random random(seed());
  for (const UnitUnderTest& unit : units_under_test()) {
    for (const Format* format : nb::detail::format_table()) {
      for (const DType scales : kFloats) {
        const std::int64_t block = format->block, length = 7 * block;
        const Tensor w = packed_matrix(*format, 3, length, scales, random);
        const std::vector<float> expected = decoded(w);
        const nb::detail::cpu::PackedRows rows(*unit.unit, w);
        for (std::int64_t begin = 0; begin < length; begin += block) {
          const std::int64_t most = nb::detail::cpu::kChunk / block * block;
          for (std::int64_t count = block; count <= std::min(most, length - begin); count += block) {
            std::vector<float> got(static_cast<std::size_t>(count) + 1, kGuard);
            rows.values(1, begin, count, got.data());
            EXPECT_EQ(got.back(), kGuard);
            got.pop_back();
            const auto from = expected.begin() + length + begin;
            EXPECT_EQ(got, std::vector<float>(from, from + count)) << unit.name << ' ' << format->name;
          }
        }
      }
    }
  }
}

/// Bytes past the end of a row must not be touched: each component in an allocation of its own size, for the sanitizer.
TEST(Decoders, ReadNothingPastTheRow) {
  Random random(seed());
  for (const UnitUnderTest& unit : units_under_test()) {
    for (const Format* format : nb::detail::format_table()) {
      for (const int blocks : {1, 2, 3, 5}) {
        const std::int64_t length = format->block * blocks;
        const Tensor source = packed_matrix(*format, 1, length, DType::f16, random);
        std::vector<std::vector<std::byte>> copies;
        std::vector<Tensor> components;
        for (const Tensor& c : source.packing()->components) {
          const std::byte* from = nb::detail::bytes_of(c);
          copies.emplace_back(from, from + c.numel() * static_cast<std::int64_t>(nb::itemsize(c.dtype())));
        }
        for (std::size_t i = 0; i < copies.size(); ++i) {
          const Tensor& c = source.packing()->components[i];
          components.push_back(nb::from_borrowed(nullptr, copies[i].data(), c.shape(), c.dtype()));
        }
        const Tensor w = nb::detail::make_packed(*format, components, {1, length}, DType::f32);
        const Tensor x = dense_matrix(1, length, DType::f32, Layout::contiguous);
        const Tensor y = dense_matrix(1, 1, DType::f32, Layout::contiguous);
        fill_normal(x, random, Values::gaussian);
        for (const auto& kernel : unit.kernels) {
          if (!kernel.supports({format, DType::f32, nb::detail::Orientation::along, 1, kernel.precision, false}))
            continue;
          kernel.run({x, w, y, nb::detail::Orientation::along, kernel.precision, false});
        }
        EXPECT_EQ(decoded(w), decoded(source));
      }
    }
  }
}

TEST(Units, ConvertHalvesAsTheReferenceDoes) {
  for (const UnitUnderTest& unit : units_under_test()) {
    for (const nb::detail::cpu::Element element : {nb::detail::cpu::Element::f16, nb::detail::cpu::Element::bf16}) {
      const bool half = element == nb::detail::cpu::Element::f16;
      std::vector<std::uint16_t> words(65536), back(65536);
      std::iota(words.begin(), words.end(), std::uint16_t{0});
      for (const std::int64_t stride : {1, 2}) {
        const std::int64_t count = 65536 / stride;
        std::vector<float> values(static_cast<std::size_t>(count));
        unit.unit->load(words.data(), element, stride, count, values.data());
        unit.unit->store(values.data(), count, back.data(), element, stride);
        for (std::int64_t i = 0; i < count; ++i) {
          const std::uint16_t word = words[static_cast<std::size_t>(i * stride)];
          float expected;
          if (half) {
            nb::float16 h;
            h.bits = word;
            expected = static_cast<float>(h);
          } else {
            nb::bfloat16 h;
            h.bits = word;
            expected = static_cast<float>(h);
          }
          const float value = values[static_cast<std::size_t>(i)];
          if (std::isnan(expected)) {
            ASSERT_TRUE(std::isnan(value)) << unit.name << ' ' << word;
            continue;
          }
          ASSERT_EQ(value, expected) << unit.name << ' ' << word;
          ASSERT_EQ(back[static_cast<std::size_t>(i * stride)], word) << unit.name;
        }
      }
      // Rounding: numbers between two halves, ties, overflow, denormals.
      Random random(seed());
      std::uniform_int_distribution<std::uint32_t> any;
      std::vector<float> values;
      for (int i = 0; i < 20000; ++i) {
        const std::uint32_t u = any(random) & (i % 2 == 0 ? 0xffffffffu : 0xfffff000u);
        values.push_back(std::bit_cast<float>(u));
        values.push_back(std::ldexp(static_cast<float>(u % 4096), pick(random, -36, 5)));
      }
      std::vector<std::uint16_t> got(values.size());
      unit.unit->store(values.data(), static_cast<std::int64_t>(values.size()), got.data(), element, 1);
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (std::isnan(values[i])) {
          const bool nan = half ? (got[i] & 0x7fff) > 0x7c00 : (got[i] & 0x7fff) > 0x7f80;
          ASSERT_TRUE(nan) << unit.name;
          continue;
        }
        ASSERT_EQ(got[i], half ? nb::float16(values[i]).bits : nb::bfloat16(values[i]).bits)
            << unit.name << ' ' << values[i];
      }
    }
  }
}

TEST(Codec, DequantizesAnyAxisViewAndDtype) {
  Random random(seed());
  for (const Format* format : nb::detail::format_table()) {
    const std::int64_t length = 3 * format->block;
    const Tensor whole = packed_matrix(*format, 12, length, DType::f16, random);
    const std::vector<float> flat = decoded(whole);
    for (const DType dtype : kFloats) {
      // (3, 4, K) → the packed axis in the middle: (4, K, 3).
      auto packing = std::make_shared<nb::Packing>(*whole.packing());
      packing->axis = 1;
      const Tensor turned =
          nb::detail::make_tensor({{4, length, 3}, {1, 0, 4}, 0, DType::f32, nullptr, std::move(packing)});
      const Tensor out = nb::detail::make_dense({4, length, 3}, dtype);
      nb::detail::cpu_dequantize(turned, out);
      std::vector<float> expected(flat.size());
      for (std::int64_t i = 0; i < 4; ++i)
        for (std::int64_t k = 0; k < length; ++k)
          for (std::int64_t j = 0; j < 3; ++j) {
            expected[static_cast<std::size_t>((i * length + k) * 3 + j)] =
                flat[static_cast<std::size_t>((j * 4 + i) * length + k)];
          }
      EXPECT_EQ(all_of(out), rounded(expected, dtype)) << format->name;

      const Tensor part = packed_view(whole, 11, -2, 5, format->block, format->block);
      const Tensor small = nb::detail::make_dense({5, format->block}, dtype);
      nb::detail::cpu_dequantize(part, small);
      EXPECT_EQ(all_of(small), rounded(decoded(part), dtype)) << format->name;
    }
  }
}

TEST(Codec, TakesRowsWrappingNegatives) {
  Random random(seed());
  const Tensor w = packed_matrix(*nb::detail::find_format("q8_0"), 9, 640, DType::f16, random);
  const std::vector<float> flat = decoded(w);
  const Tensor indices = nb::tensor<std::int32_t>({8, -9, 3, -1, 3, 0}, {2, 3});
  const Tensor turned = nb::detail::make_view(indices, {3, 2}, {1, 3}, 0);  // 8 -1, -9 3, 3 0
  const Tensor out = nb::detail::make_dense({3, 2, 640}, DType::bf16);
  nb::detail::cpu_backend().take(w, turned, out);
  std::vector<float> expected;
  for (const int row : {8, 8, 0, 3, 3, 0}) {
    expected.insert(expected.end(), flat.begin() + row * 640, flat.begin() + (row + 1) * 640);
  }
  EXPECT_EQ(all_of(out), rounded(expected, DType::bf16));

  const auto expect_refused = [&](const Tensor& index, const std::string& what) {
    try {
      nb::detail::cpu_backend().take(w, index, nb::detail::make_dense({1, 640}, DType::f32));
      FAIL() << "no error for " << what;
    } catch (const nb::Error& e) {
      EXPECT_EQ(e.code(), nb::ErrorCode::out_of_range);
      EXPECT_EQ(std::string(e.what()), "[take] x " + nb::describe(w) + ": index " + what + " of 9 entries");
    }
  };
  for (const std::int64_t bad : {std::int64_t{9}, std::int64_t{-10}, std::int64_t{1} << 40}) {
    expect_refused(nb::tensor<std::int64_t>({bad}, {1}), std::to_string(bad));
  }
  const std::uint64_t largest = ~std::uint64_t{0};  // would be -1 in i64
  expect_refused(nb::tensor<std::uint64_t>({largest}, {1}), std::to_string(largest));
}

TEST(Codec, QuantizesAsTheReferenceDoes) {
  Random random(seed());
  for (const Format* format : nb::detail::format_table()) {
    if (format->encode == nullptr) continue;
    for (const DType dtype : kFloats) {
      const std::int64_t length = 2 * format->block;  // some formats search long
      const Tensor w = nb::detail::make_dense({1, 3, length}, dtype);
      std::normal_distribution<float> normal;
      for (std::int64_t i = 0; i < w.numel(); ++i) write(w, i, normal(random));
      const std::vector<Tensor> got = nb::detail::allocate_components(*format, w.shape(), dtype);
      const std::vector<Tensor> expected = nb::detail::allocate_components(*format, w.shape(), dtype);
      nb::detail::cpu_quantize(w, *format, got);
      const std::vector<float> values = all_of(w);
      for (std::int64_t r = 0; r < 3; ++r) {
        format->encode(values.data() + r * length, length, nb::detail::mutable_packed_row(*format, expected, r));
      }
      for (std::size_t c = 0; c < got.size(); ++c) {
        const auto bytes = static_cast<std::size_t>(got[c].numel()) * nb::itemsize(got[c].dtype());
        EXPECT_EQ(std::memcmp(nb::detail::bytes_of(got[c]), nb::detail::bytes_of(expected[c]), bytes), 0)
            << format->name << ' ' << nb::name(dtype) << " component " << c;
      }
    }
  }
}

/// Groups that a choice of scales can stumble over, each at the end of one of normal weights.
std::vector<float> odd_groups(int group, Random& random) {
  constexpr float kInf = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();
  const std::vector<std::vector<float>> ends = {{},      {0, -0.f},     {kNaN},          {kInf},
                                                {-kInf}, {kInf, -kInf}, {3e38f, -3e38f}, {1e-40f, 0},
                                                {5, -5}, {-7, 6.9f, 0}, {1e-30f, 1e30f}};
  std::vector<float> weights;
  std::normal_distribution<float> normal;
  for (const std::vector<float>& end : ends) {
    for (const bool alone : {false, true}) {  // or all of these
      for (int i = 0; i < group; ++i) {
        const auto n = static_cast<int>(end.size()), at = i - (group - n);
        weights.push_back(n > 0 && alone ? end[static_cast<std::size_t>(i % n)]
                          : at >= 0      ? end[static_cast<std::size_t>(at)]
                                         : normal(random));
      }
    }
  }
  return weights;
}

TEST(Codec, UnitsQuantizeAsTheReferenceDoes) {
  Random random(seed());
  for (const UnitUnderTest& unit : units_under_test()) {
    if (unit.unit->quantize == nullptr) continue;
    for (const Format* format : nb::detail::format_table()) {
      if (format->rule != nb::detail::QuantizeRule::mlx_affine) continue;
      const std::vector<float> weights = odd_groups(format->group_size, random);
      const std::size_t count = weights.size(), groups = count / static_cast<std::size_t>(format->group_size);
      const auto length = static_cast<std::int64_t>(count);
      const std::vector<Tensor> reference = nb::detail::allocate_components(*format, {1, length}, DType::f32);
      const auto row = nb::detail::mutable_packed_row(*format, reference, 0);
      format->encode(weights.data(), length, row);
      nb::detail::PackedRow packed;
      for (std::size_t c = 0; c < reference.size(); ++c) packed.component[c] = row.component[c];
      std::vector<std::uint8_t> codes(count), expected_codes(count);
      std::vector<float> scales(groups), biases(groups), expected_scales(groups), expected_biases(groups);
      format->codes(packed, 0, length, expected_codes.data(), expected_scales.data(), expected_biases.data());
      unit.unit->quantize(weights.data(), length, format->group_size, format->bits, codes.data(), scales.data(),
                          biases.data());
      EXPECT_EQ(codes, expected_codes) << unit.name << ' ' << format->name;
      for (std::size_t g = 0; g < groups; ++g) {
        const auto same = [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); };
        EXPECT_TRUE(same(scales[g], expected_scales[g]) && same(biases[g], expected_biases[g]))
            << unit.name << ' ' << format->name << " group " << g << ": " << scales[g] << ", " << biases[g]
            << " and not " << expected_scales[g] << ", " << expected_biases[g];
      }
    }
  }
}

}  // namespace
}  // namespace nibble_test
