// The scalar codecs of the format table against the formats' own reference packages, and against their own promises.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "tests/quant_tensor/golden_formats.h"

namespace nibble_test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

TEST(FormatTable, NamesAreUniqueAndFound) {
  std::set<std::string_view> names;
  for (const Format* format : nb::detail::format_table()) {
    EXPECT_TRUE(names.insert(format->name).second) << format->name;
    EXPECT_EQ(nb::detail::find_format(format->name), format);
  }
  for (const auto& [written, meant] :
       {std::pair{"Q4_K", "q4_k"}, {"fp8-e4m3", "fp8_e4m3"}, {"AFFINE4_G64", "affine4-g64"}})
    EXPECT_EQ(nb::detail::find_format(written), nb::detail::find_format(meant)) << written;
  EXPECT_EQ(nb::detail::find_format("affine7-g64"), nullptr);
  EXPECT_EQ(nb::detail::find_format(""), nullptr);
}

TEST(FormatTable, PublicListSaysHowManyBitsAWeightTakes) {
  const auto bits_per_weight = [](std::string_view name) {
    for (const nb::FormatInfo& info : nb::formats()) {
      if (info.name == name) return info.bits_per_weight;
    }
    return -1.0;
  };
  EXPECT_EQ(nb::formats().size(), nb::detail::format_table().size());
  EXPECT_EQ(bits_per_weight("affine4-g64"), 4.5);
  EXPECT_EQ(bits_per_weight("affine3-g128"), 3.25);
  EXPECT_EQ(bits_per_weight("q4_0"), 4.5);
  EXPECT_EQ(bits_per_weight("q4_1"), 5);
  EXPECT_EQ(bits_per_weight("q5_0"), 5.5);
  EXPECT_EQ(bits_per_weight("q5_1"), 6);
  EXPECT_EQ(bits_per_weight("q8_0"), 8.5);
}

TEST(FormatTable, BitsPerWeightIsWhatComponentsTake) {
  for (const Format* format : nb::detail::format_table()) {
    double bits = 0;
    for (std::size_t c = 0; c < format->components.size(); ++c) {
      const auto& spec = format->components[c];
      const std::size_t item = spec.is_scale ? 2 : nb::itemsize(spec.dtype);
      if (spec.of_row) continue;
      bits += 8.0 * static_cast<double>(item) * static_cast<double>(format->width(static_cast<int>(c), format->block));
    }
    EXPECT_EQ(bits / format->block, format->bits_per_weight) << format->name;
    EXPECT_EQ(format->block % format->group_size, 0) << format->name;
  }
}

TEST(FormatCodec, DecodeGivesTheReferencesBits) {
  for (const GoldenCase& c : golden_cases()) {
    SCOPED_TRACE(c.name);
    std::vector<float> decoded;
    for (std::int64_t r = 0; r < c.rows(); ++r) {
      const auto row = decode_of(*c.format, nb::detail::packed_row(*c.packed().packing(), r), 0, c.k());
      decoded.insert(decoded.end(), row.begin(), row.end());
    }
    EXPECT_EQ(bits(decoded), bits(c.values));
    EXPECT_EQ(bits(c.packed().to_vector<float>()), bits(c.values)) << "read as a tensor";
  }
}

std::vector<Tensor> encoded(const GoldenCase& c) {
  std::vector<Tensor> made = nb::detail::allocate_components(*c.format, c.shape, c.scale_dtype);
  for (std::int64_t r = 0; r < c.rows(); ++r) {
    c.format->encode(c.weight.data() + r * c.k(), c.k(), nb::detail::mutable_packed_row(*c.format, made, r));
  }
  return made;
}

TEST(FormatCodec, EncodeGivesTheReferencesBytes) {
  for (const GoldenCase& c : golden_cases()) {
    if (!encodes_as_reference(c)) continue;
    SCOPED_TRACE(c.name);
    const std::vector<Tensor> made = encoded(c);
    for (std::size_t i = 0; i < made.size(); ++i) {
      EXPECT_TRUE(bytes(made[i]) == bytes(c.components[i])) << c.format->components[i].name;
    }
  }
}

double squared_error(const float* values, const float* weights, std::int64_t count) {
  double error = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double miss = static_cast<double>(values[i]) - weights[i];
    error += miss * miss;
  }
  return error;
}

TEST(FormatCodec, EncodeBySearchErrsNoMoreThanTheReferences) {
  for (const GoldenCase& c : golden_cases()) {
    if (!can_encode(c) || encodes_as_reference(c)) continue;
    SCOPED_TRACE(c.name);
    const std::vector<Tensor> made = encoded(c);
    for (std::int64_t r = 0; r < c.rows(); ++r) {
      const std::vector<float> values = decode_of(*c.format, row_of(*c.format, made, r), 0, c.k());
      const float* weights = c.weight.data() + r * c.k();
      const double own = std::sqrt(squared_error(values.data(), weights, c.k()));
      const double reference = std::sqrt(squared_error(c.values.data() + r * c.k(), weights, c.k()));
      const double size = std::sqrt(squared_error(weights, std::vector<float>(values.size()).data(), c.k()));
      EXPECT_LE(own, 1.02 * reference + 1e-3 * size) << "row " << r;
    }
  }
}

TEST(FormatCodec, ScaleTimesCodePlusBiasIsTheValue) {
  for (const GoldenCase& c : golden_cases()) {
    if (!c.format->codes) continue;
    SCOPED_TRACE(c.name);
    for (std::int64_t r = 0; r < c.rows(); ++r) {
      const RowCodes row = codes_of(*c.format, row_of(*c.format, c.components, r), 0, c.k());
      for (std::int64_t i = 0; i < c.k(); ++i) {
        const auto g = static_cast<std::size_t>(i / c.format->group_size);
        const int code = row.codes[static_cast<std::size_t>(i)];
        ASSERT_LT(code, 1 << c.format->code_bits);
        const int zero = c.format->zero;
        const float value = zero != 0 ? row.scales[g] * static_cast<float>(code - zero)
                                      : row.scales[g] * static_cast<float>(code) + row.biases[g];
        ASSERT_EQ(value, c.values[static_cast<std::size_t>(r * c.k() + i)]) << "row " << r << " weight " << i;
      }
    }
  }
}

TEST(FormatCodec, AssembleUndoesCodes) {
  for (const GoldenCase& c : golden_cases()) {
    if (!c.format->assemble) continue;
    SCOPED_TRACE(c.name);
    const std::vector<Tensor> made = nb::detail::allocate_components(*c.format, c.shape, c.scale_dtype);
    for (std::int64_t r = 0; r < c.rows(); ++r) {
      const RowCodes row = codes_of(*c.format, row_of(*c.format, c.components, r), 0, c.k());
      ASSERT_TRUE(c.format->assemble(row.codes.data(), row.scales.data(), row.biases.data(), c.k(),
                                     nb::detail::mutable_packed_row(*c.format, made, r)));
    }
    for (std::size_t i = 0; i < made.size(); ++i) EXPECT_TRUE(bytes(made[i]) == bytes(c.components[i]));
  }
}

TEST(FormatCodec, AssembleRefusesWhatHasNoExactPlace) {
  for (const GoldenCase& c : golden_cases()) {
    if (!c.format->assemble) continue;
    SCOPED_TRACE(c.name);
    const std::vector<Tensor> made = nb::detail::allocate_components(*c.format, c.shape, c.scale_dtype);
    const auto target = nb::detail::mutable_packed_row(*c.format, made, 0);
    const RowCodes good = codes_of(*c.format, row_of(*c.format, c.components, 0), 0, c.k());
    const auto fits = [&](const RowCodes& row) {
      return c.format->assemble(row.codes.data(), row.scales.data(), row.biases.data(), c.k(), target);
    };
    ASSERT_TRUE(fits(good));

    RowCodes wide = good;
    wide.codes.back() = static_cast<std::uint8_t>(1 << c.format->bits);
    if (c.format->bits < 8) {
      EXPECT_FALSE(fits(wide)) << "a code past the top";
    }

    const bool holds_f32 = c.scale_dtype == DType::f32 && c.format->components.size() > 1;
    RowCodes fine = good;
    fine.scales.back() = 1.00001f;
    fine.biases.back() = -fine.scales.back() * static_cast<float>(1 << (c.format->bits - 1));
    EXPECT_EQ(fits(fine), holds_f32) << "a scale between two of the storage type";
  }
}

TEST(FormatCodec, AnyRunOfBlocksDecodesAsInTheWholeRow) {
  for (const GoldenCase& c : golden_cases()) {
    SCOPED_TRACE(c.name);
    const auto row = row_of(*c.format, c.components, c.rows() - 1);
    const std::vector<float> whole = decode_of(*c.format, row, 0, c.k());
    const bool has_codes = c.format->codes != nullptr;
    const RowCodes all = has_codes ? codes_of(*c.format, row, 0, c.k()) : RowCodes();
    const int block = c.format->block, group = c.format->group_size;
    for (std::int64_t begin = 0; begin <= c.k(); begin += block) {
      for (std::int64_t count = 0; begin + count <= c.k(); count += block) {
        const std::vector<float> expected(whole.begin() + begin, whole.begin() + begin + count);
        ASSERT_EQ(bits(decode_of(*c.format, row, begin, count)), bits(expected)) << begin << " + " << count;
        if (!has_codes) continue;
        const RowCodes part = codes_of(*c.format, row, begin, count);
        ASSERT_TRUE(std::equal(part.codes.begin(), part.codes.end(), all.codes.begin() + begin));
        ASSERT_TRUE(std::equal(part.scales.begin(), part.scales.end(), all.scales.begin() + begin / group));
        ASSERT_TRUE(std::equal(part.biases.begin(), part.biases.end(), all.biases.begin() + begin / group));
      }
    }
  }
}

TEST(FormatCodec, AScaleThatIsNotFiniteSpoilsItsGroupAndNoOther) {
  for (const GoldenCase& c : golden_cases()) {
    if (!c.format->assemble) continue;
    for (const float scale : {kNaN, kInf, -kInf}) {
      SCOPED_TRACE(c.name);
      RowCodes row = codes_of(*c.format, row_of(*c.format, c.components, 0), 0, c.k());
      row.scales[0] = scale;
      row.biases[0] = -scale;
      const std::vector<Tensor> made = nb::detail::allocate_components(*c.format, c.shape, c.scale_dtype);
      ASSERT_TRUE(c.format->assemble(row.codes.data(), row.scales.data(), row.biases.data(), c.k(),
                                     nb::detail::mutable_packed_row(*c.format, made, 0)));
      const auto packed = row_of(*c.format, made, 0);
      const std::vector<float> values = decode_of(*c.format, packed, 0, c.k());
      const RowCodes read = codes_of(*c.format, packed, 0, c.k());
      for (std::int64_t i = 0; i < c.k(); ++i) {
        const auto at = static_cast<std::size_t>(i), g = static_cast<std::size_t>(i / c.format->group_size);
        const float by_codes = read.scales[g] * static_cast<float>(read.codes[at]) + read.biases[g];
        if (g == 0) {
          ASSERT_FALSE(std::isfinite(values[at]));
          ASSERT_FALSE(std::isfinite(by_codes));
        } else {
          ASSERT_EQ(values[at], c.values[at]);
          ASSERT_EQ(by_codes, c.values[at]);
        }
      }
    }
  }
}

TEST(FormatCodec, AWeightThatIsNotFiniteNeverPassesAsANumber) {
  for (const GoldenCase& c : golden_cases()) {
    if (!can_encode(c)) continue;
    for (const float bad : {kNaN, kInf, -kInf}) {
      const std::vector<Tensor> made = encoded(c);
      const auto row = nb::detail::mutable_packed_row(*c.format, made, 0);
      const std::vector<float> good = decode_of(*c.format, row_of(*c.format, made, 0), 0, c.k());
      for (const std::size_t place : {std::size_t{0}, static_cast<std::size_t>(c.format->block - 1)}) {
        SCOPED_TRACE(c.name);
        std::vector<float> weight(c.weight.begin(), c.weight.begin() + c.k());
        weight[place] = bad;
        try {
          c.format->encode(weight.data(), c.k(), row);
        } catch (const nb::Error& error) {
          EXPECT_EQ(error.code(), nb::ErrorCode::invalid_argument);
          continue;
        }
        const std::vector<float> values = decode_of(*c.format, row_of(*c.format, made, 0), 0, c.k());
        for (std::int64_t i = 0; i < c.k(); ++i) {
          const auto at = static_cast<std::size_t>(i);
          if (i < c.format->block) {
            ASSERT_FALSE(std::isfinite(values[at]));
            // In ggml's arithmetic no scale and number of MXFP4 make a NaN.
            const bool has_nan = c.format->name != std::string_view("mxfp4_gguf");
            ASSERT_TRUE(std::isnan(values[at]) || !std::isnan(bad) || !has_nan);
          } else {
            ASSERT_EQ(values[at], good[at]);
          }
        }
      }
    }
  }
}

// What MLX's small floats say where they say no number.
TEST(FormatCodec, SmallFloatsHaveTheirOwnInfinitiesAndNaN) {
  const auto first_value = [](std::string_view name, std::uint32_t codes, std::uint8_t scale) {
    const Format& format = *nb::detail::find_format(name);
    const std::vector<Tensor> made = nb::detail::allocate_components(format, {1, 32}, DType::f32);
    const nb::detail::MutablePackedRow row = nb::detail::mutable_packed_row(format, made, 0);
    std::memcpy(row.component[0], &codes, sizeof codes);
    row.component[1][0] = static_cast<std::byte>(scale);
    return decode_of(format, row_of(format, made, 0), 0, format.block).front();
  };
  EXPECT_TRUE(std::isnan(first_value("mxfp8", 0x7f, 127)));
  EXPECT_TRUE(std::isnan(first_value("mxfp8", 0xff, 127)));
  EXPECT_EQ(first_value("mxfp8", 0x7e, 127), 448);
  EXPECT_EQ(first_value("mxfp8", 0x80, 127), 0);
  EXPECT_EQ(first_value("mxfp4", 0xf, 255), -kInf);
  EXPECT_EQ(first_value("mxfp4", 0x7, 0), 0x6p-127f);
  EXPECT_TRUE(std::isnan(first_value("nvfp4", 0x7, 0x7f)));
  EXPECT_EQ(first_value("nvfp4", 0x7, 0xfe), -2688);
}

// By hand, from the notes on MLX's quantizer, so that the rule can be read here: the end of larger magnitude, -8, is
// met exactly.
TEST(FormatCodec, AffineByHand) {
  const Format& format = *nb::detail::find_format("affine4-g32");
  std::vector<float> weight(32, 0.0f);
  weight[0] = -8;
  weight[1] = 7;
  weight[2] = 2.4f;
  const std::vector<Tensor> made = nb::detail::allocate_components(format, {1, 32}, DType::f32);
  format.encode(weight.data(), 32, nb::detail::mutable_packed_row(format, made, 0));
  const RowCodes row = codes_of(format, row_of(format, made, 0), 0, 32);
  EXPECT_EQ(row.scales, std::vector<float>{1});
  EXPECT_EQ(row.biases, std::vector<float>{-8});
  std::vector<std::uint8_t> expected(32, 8);
  expected[0] = 0, expected[1] = 15, expected[2] = 10;
  EXPECT_EQ(row.codes, expected);
  EXPECT_EQ(made[0].to_vector<std::uint32_t>(),
            (std::vector<std::uint32_t>{0x88888af0, 0x88888888, 0x88888888, 0x88888888}));

  for (float& w : weight) w = -w;  // the end of larger magnitude is now the maximum: the scale turns
  format.encode(weight.data(), 32, nb::detail::mutable_packed_row(format, made, 0));
  const RowCodes turned = codes_of(format, row_of(format, made, 0), 0, 32);
  EXPECT_EQ(turned.scales, std::vector<float>{-1});
  EXPECT_EQ(turned.biases, std::vector<float>{8});
  EXPECT_EQ(turned.codes, expected);
}

// The same for GGUF: where each rule rounds, and which weight sits where in a block.
TEST(FormatCodec, GgufByHand) {
  const auto packed_bytes = [](std::string_view name, const std::vector<float>& weight) {
    const Format& format = *nb::detail::find_format(name);
    const std::vector<Tensor> made = nb::detail::allocate_components(format, {1, 32}, DType::f32);
    format.encode(weight.data(), 32, nb::detail::mutable_packed_row(format, made, 0));
    return made[0].to_vector<std::uint8_t>();
  };
  std::vector<float> weight(32, 0.0f);
  weight[0] = -127, weight[1] = 0.5f, weight[2] = 2.5f, weight[3] = -1.5f, weight[31] = 126.4f;
  std::vector<std::uint8_t> q8_0(34, 0);
  q8_0[1] = 0x3c;                                            // d = 1 in f16
  q8_0[2] = 0x81, q8_0[3] = 1, q8_0[4] = 3, q8_0[5] = 0xfe;  // halves go away from zero
  q8_0[33] = 126;
  EXPECT_EQ(packed_bytes("q8_0", weight), q8_0);

  std::fill(weight.begin(), weight.end(), 0.0f);
  weight[0] = -8, weight[1] = 2.5f, weight[16] = 7, weight[31] = -0.5f;
  std::vector<std::uint8_t> q4_0(18, 0x88);
  q4_0[0] = 0, q4_0[1] = 0x3c;
  q4_0[2] = 0xf0, q4_0[3] = 0x8b, q4_0[17] = 0x88;  // weight 16 above weight 0; halves go up
  EXPECT_EQ(packed_bytes("q4_0", weight), q4_0);

  std::fill(weight.begin(), weight.end(), 0.0f);
  weight[0] = 31, weight[17] = 16;
  std::vector<std::uint8_t> q5_1(24, 0);
  q5_1[1] = 0x3c;                  // d = 1, m = 0
  q5_1[4] = 0x01, q5_1[6] = 0x02;  // fifth bits of weights 0 and 17
  q5_1[8] = 0x0f;
  EXPECT_EQ(packed_bytes("q5_1", weight), q5_1);
}

}  // namespace
}  // namespace nibble_test
