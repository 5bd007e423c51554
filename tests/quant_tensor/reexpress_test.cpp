// The same numbers in another format: by value, and back again byte for byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "nibble/error.h"
#include "tests/quant_tensor/golden_formats.h"

namespace nibble_test {
namespace {

GoldenCase golden(const std::string& format, DType scale_dtype) {
  for (GoldenCase& c : golden_cases_of(*nb::detail::find_format(format))) {
    if (c.scale_dtype == scale_dtype) return c;
  }
  throw std::out_of_range(format);
}

DType scale_dtype_of(const Tensor& packed) { return packed.packing()->components[1].dtype(); }

void expect_same_bytes(const Tensor& packed, const GoldenCase& c) {
  ASSERT_EQ(packed.packing()->format, c.format);
  for (std::size_t i = 0; i < c.components.size(); ++i) {
    EXPECT_TRUE(bytes(packed.packing()->components[i]) == bytes(c.components[i])) << c.format->components[i].name;
  }
}

void expect_refused(const Tensor& packed, std::string_view format, const std::string& text,
                    nb::ErrorCode code = nb::ErrorCode::unsupported) {
  try {
    nb::reexpress(packed, format);
    ADD_FAILURE() << "nothing thrown where '" << text << "' was expected";
  } catch (const nb::Error& e) {
    EXPECT_EQ(e.code(), code) << e.what();
    EXPECT_THAT(e.what(), testing::HasSubstr(text));
  }
}

TEST(Reexpress, GgufAsAffineAndBack) {
  const std::pair<const char*, const char*> pairs[] = {{"q4_0", "affine4-g32"},
                                                       {"q4_1", "affine4-g32"},
                                                       {"q5_0", "affine5-g32"},
                                                       {"q5_1", "affine5-g32"},
                                                       {"q8_0", "affine8-g32"}};
  for (const auto& [from, to] : pairs) {
    SCOPED_TRACE(from);
    const GoldenCase c = golden(from, DType::f32);
    const Tensor affine = nb::reexpress(c.packed(), to);
    EXPECT_EQ(affine.packing()->format->name, to);
    EXPECT_EQ(affine.shape(), c.shape);
    EXPECT_EQ(affine.dtype(), DType::f32);
    EXPECT_EQ(affine.to_vector<float>(), c.values);  // as numbers: a -0 may have become 0
    expect_same_bytes(nb::reexpress(affine, from), c);
  }
}

TEST(Reexpress, AffineAsGgufAndBack) {
  for (const auto& [from, to] : {std::pair{"affine4-g32", "q4_1"}, std::pair{"affine5-g32", "q5_1"}}) {
    SCOPED_TRACE(from);
    const GoldenCase c = golden(from, DType::f16);
    const Tensor gguf = nb::reexpress(c.packed(), to);
    EXPECT_EQ(bits(gguf.to_vector<float>()), bits(c.values));
    expect_same_bytes(nb::reexpress(gguf, from), c);
  }
}

TEST(Reexpress, MinifloatsBetweenMlxsLayoutAndGgufsByteForByte) {
  const std::pair<const char*, const char*> pairs[] = {
      {"mxfp4", "mxfp4_gguf"}, {"mxfp4_gguf", "mxfp4"}, {"nvfp4", "nvfp4_gguf"}};
  for (const auto& [from, to] : pairs) {
    SCOPED_TRACE(from);
    const GoldenCase c = golden(from, DType::f32);
    const Tensor other = nb::reexpress(c.packed(), to);
    EXPECT_EQ(other.packing()->format->name, to);
    EXPECT_EQ(other.to_vector<float>(), c.values);
    expect_same_bytes(nb::reexpress(other, from), c);
  }
}

/// What GGUF has no sign and no NaN for is not what MLX means by the same byte.
TEST(Reexpress, AScaleThatGgufReadsOtherwiseIsALoss) {
  const auto nvfp4 = [](std::uint8_t scale) {
    const std::vector<std::uint8_t> scales{0x38, 0x38, 0x38, scale};
    const std::vector<std::uint32_t> codes(8, 0x76543210);
    return nb::from_components("nvfp4",
                               {{"codes", nb::from_data(std::span<const std::uint32_t>(codes), {1, 8})},
                                {"scales", nb::from_data(std::span<const std::uint8_t>(scales), {1, 4})}},
                               {1, 64});
  };
  EXPECT_EQ(nb::reexpress(nvfp4(0x01), "nvfp4_gguf").to_vector<float>(), nvfp4(0x01).to_vector<float>());
  for (const int scale : {0xb8, 0x7f, 0xff}) {
    expect_refused(nvfp4(static_cast<std::uint8_t>(scale)), "nvfp4_gguf", "no exact place");
  }
  expect_refused(golden("nvfp4", DType::f32).packed(), "mxfp4_gguf", "no lossless re-expression exists");
  const std::vector<float> spoiled(32, std::numeric_limits<float>::quiet_NaN());
  const Tensor nan = nb::quantize(nb::from_data(std::span<const float>(spoiled), {1, 32}), {.format = "mxfp4"});
  expect_refused(nan, "mxfp4_gguf", "no exact place");
}

TEST(Reexpress, ScalesAreF16WhereTheyCanBeAndF32WhereABiasNeedsIt) {
  const auto q8_0_block = [](float d) {
    std::vector<std::uint8_t> block(34);
    const nb::float16 half(d);
    std::memcpy(block.data(), &half, 2);
    for (std::uint8_t i = 0; i < 32; ++i) block[2u + i] = static_cast<std::uint8_t>(i * 8);
    return nb::from_components("q8_0", {{"blocks", nb::from_data(std::span<const std::uint8_t>(block), {1, 34})}},
                               {1, 32});
  };
  const Tensor small = q8_0_block(500), large = q8_0_block(600);  // 128 · 600 is past the largest f16
  EXPECT_EQ(scale_dtype_of(nb::reexpress(small, "affine8-g32")), DType::f16);
  const Tensor wide = nb::reexpress(large, "affine8-g32");
  EXPECT_EQ(scale_dtype_of(wide), DType::f32);
  EXPECT_EQ(wide.to_vector<float>(), large.to_vector<float>());
  EXPECT_EQ(wide.to_vector<float>()[31], 600.0f * -8);
}

TEST(Reexpress, BetweenAffineFormatsWhereNothingIsLost) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const GoldenCase c = golden("affine4-g64", dtype);
    const Tensor split = nb::reexpress(c.packed(), "affine4-g32");
    EXPECT_EQ(scale_dtype_of(split), dtype);
    EXPECT_EQ(bits(split.to_vector<float>()), bits(c.values));
    expect_same_bytes(nb::reexpress(split, "affine4-g64"), c);
    const Tensor wider = nb::reexpress(c.packed(), "affine6-g64");
    EXPECT_EQ(bits(wider.to_vector<float>()), bits(c.values));
    expect_same_bytes(nb::reexpress(wider, "affine4-g64"), c);
  }
}

TEST(Reexpress, ViewsKeepTheirShapeAndPackedAxis) {
  const GoldenCase c = golden("q4_1", DType::f32);
  nb::detail::TensorImpl impl = c.packed().impl();
  auto packing = std::make_shared<nb::Packing>(*impl.packing);
  packing->axis = 0;
  packing->begin = 32;
  impl.packing = packing;
  impl.shape = {64, 3};  // weights 32..95 of rows 1, 3, 5
  impl.strides = {0, 2};
  impl.offset = 1;
  const Tensor view = nb::detail::make_tensor(impl);
  const Tensor affine = nb::reexpress(view, "affine4-g32");
  EXPECT_EQ(affine.shape(), (nb::Shape{64, 3}));
  EXPECT_EQ(affine.packing()->axis, 0);
  EXPECT_EQ(affine.to_vector<float>(), view.to_vector<float>());
  EXPECT_EQ(affine.to_vector<float>()[1], c.values[static_cast<std::size_t>(3 * c.k() + 32)]);
}

TEST(Reexpress, ItsOwnFormatIsItself) {
  const Tensor packed = golden("q5_0", DType::f32).packed();
  EXPECT_EQ(&nb::reexpress(packed, "q5_0").impl(), &packed.impl());
}

TEST(Reexpress, WhatIsKnownBeforehandComesTrue) {
  for (const nb::detail::Format* from : nb::detail::format_table()) {
    for (const GoldenCase& c : golden_cases_of(*from)) {
      if (c.is_random) continue;  // scales that are no numbers, or negative where one of two layouts has no sign
      for (const nb::detail::Format* to : nb::detail::format_table()) {
        if (!nb::holds_numbers_of(to->name, from->name, c.scale_dtype) || c.k() % to->block != 0) continue;
        SCOPED_TRACE(std::string(from->name) + " as " + std::string(to->name));
        EXPECT_EQ(nb::reexpress(c.packed(), to->name).to_vector<float>(), c.values);
      }
    }
  }
  const auto holds = [](const char* to, const char* from, DType scales) {
    return nb::holds_numbers_of(to, from, scales);
  };
  EXPECT_TRUE(holds("affine4-g32", "q4_0", DType::f32));
  EXPECT_TRUE(holds("affine8-g32", "q8_0", DType::f32));
  EXPECT_TRUE(holds("q4_1", "affine4-g128", DType::f16));
  EXPECT_TRUE(holds("mxfp4_gguf", "mxfp4", DType::f32));
  EXPECT_FALSE(holds("q4_1", "affine4-g128", DType::bf16));
  EXPECT_FALSE(holds("q4_1", "affine3-g32", DType::f16));         // though it would fit
  EXPECT_FALSE(holds("affine4-g64", "affine4-g32", DType::f16));  // groups that may differ
  EXPECT_FALSE(holds("q4_0", "q4_1", DType::f32));                // biases that may differ
  EXPECT_FALSE(holds("affine4-g32", "q4_k", DType::f32));
}

TEST(Reexpress, RefusesEveryLoss) {
  const Tensor q4_1 = golden("q4_1", DType::f32).packed();
  expect_refused(q4_1, "q4_0", "[reexpress] q4_1 (6, 128) as q4_0: ");  // a bias that is not -8 d
  expect_refused(q4_1, "affine4-g64", "no exact place");                // neighbours with different scales
  expect_refused(q4_1, "affine3-g32", "no exact place");                // codes past 7
  expect_refused(golden("affine4-g32", DType::f32).packed(), "q4_1", "no exact place");   // scales of 24 bits
  expect_refused(golden("affine4-g32", DType::bf16).packed(), "q4_1", "no exact place");  // scales below f16's grid
  expect_refused(q4_1, "q4_k_xxl", "'q4_k_xxl'", nb::ErrorCode::invalid_argument);
  expect_refused(q4_1, "affine", "'affine'", nb::ErrorCode::invalid_argument);
  expect_refused(nb::detail::make_dense({2, 32}, DType::f32), "q4_1", "dense", nb::ErrorCode::invalid_argument);

  const Tensor short_row = nb::from_components(
      "q4_1", {{"blocks", nb::detail::make_view(golden("q4_1", DType::f32).components[0], {2, 60}, {80, 1}, 0)}},
      {2, 96});
  expect_refused(short_row, "affine4-g64", "group size 64 does not divide 96");
}

TEST(Reexpress, AnInfinityThatWouldBecomeANaNIsALoss) {
  std::vector<std::uint8_t> block(18, 0);
  const nb::float16 infinity(std::numeric_limits<float>::infinity());
  std::memcpy(block.data(), &infinity, 2);
  const Tensor packed =
      nb::from_components("q4_0", {{"blocks", nb::from_data(std::span<const std::uint8_t>(block), {1, 18})}}, {1, 32});
  EXPECT_EQ(packed.to_vector<float>()[0], -std::numeric_limits<float>::infinity());
  expect_refused(packed, "affine4-g32", "no exact place");
}

}  // namespace
}  // namespace nibble_test
