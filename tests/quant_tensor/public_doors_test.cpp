// quantize, dequantize and plain views through the public header alone, over every format.
#include <gtest/gtest.h>

#include "nibble/error.h"
#include "nibble/ops.h"
#include "tests/quant_tensor/golden_formats.h"

namespace nibble_test {
namespace {

Tensor weight_of(const GoldenCase& c) {
  return nb::cast(nb::from_data(std::span<const float>(c.weight), c.shape), c.scale_dtype);
}

TEST(PublicDoors, QuantizeMakesTheReferencesBytes) {
  for (const GoldenCase& c : golden_cases()) {
    if (!encodes_as_reference(c)) continue;
    SCOPED_TRACE(c.name);
    const Tensor packed = nb::quantize(weight_of(c), {.format = std::string(c.format->name)});
    EXPECT_EQ(packed.shape(), c.shape);
    EXPECT_EQ(packed.dtype(), c.scale_dtype);
    const nb::PackingView view = nb::packing_of(packed);
    for (std::size_t i = 0; i < c.components.size(); ++i) {
      EXPECT_TRUE(bytes(view.components[i].second) == bytes(c.components[i])) << view.components[i].first;
    }
    EXPECT_EQ(nb::dequantize(packed, DType::f32).to_vector<float>(), c.values);
  }
}

TEST(PublicDoors, DequantizeRoundsOnce) {
  for (const GoldenCase& c : golden_cases()) {
    SCOPED_TRACE(c.name);
    const Tensor packed = c.packed();
    for (const DType dtype : {DType::f16, DType::bf16}) {
      std::vector<float> rounded;
      for (const float v : c.values) {
        rounded.push_back(dtype == DType::f16 ? static_cast<float>(nb::float16(v))
                                              : static_cast<float>(nb::bfloat16(v)));
      }
      EXPECT_EQ(to_floats(nb::dequantize(packed, dtype)), rounded);
    }
  }
}

TEST(PublicDoors, SlicesAndTransposesStayPackedAndKeepTheirValues) {
  for (const GoldenCase& c : golden_cases()) {
    if (c.shape.rank() != 2 || c.k() < 2 * c.format->block) continue;
    SCOPED_TRACE(c.name);
    const std::int64_t block = c.format->block;
    const Tensor dense = nb::from_data(std::span<const float>(c.values), c.shape);
    const auto expect_same = [](const Tensor& packed, const Tensor& expected) {
      EXPECT_TRUE(packed.is_quantized());
      EXPECT_EQ(packed.shape(), expected.shape());
      EXPECT_EQ(nb::dequantize(packed, DType::f32).to_vector<float>(), expected.to_vector<float>());
    };
    const auto second_block = [&](const Tensor& t) { return nb::slice(t, 1, block, 2 * block); };
    const Tensor packed = c.packed();
    expect_same(nb::transpose(packed), nb::transpose(dense));
    expect_same(nb::slice(packed, 0, 1, 3), nb::slice(dense, 0, 1, 3));
    expect_same(second_block(packed), second_block(dense));
    expect_same(nb::transpose(second_block(nb::slice(packed, 0, 2, 4))),
                nb::transpose(second_block(nb::slice(dense, 0, 2, 4))));
    expect_same(nb::slice(nb::transpose(packed), 0, block, 2 * block), nb::transpose(second_block(dense)));
  }
}

TEST(PublicDoors, QuantizeRefuses) {
  const Tensor w = nb::zeros({2, 96});
  const auto code_of = [](auto&& call) {
    try {
      call();
    } catch (const nb::Error& e) {
      return std::string(nb::name(e.code()));
    }
    return std::string("nothing thrown");
  };
  EXPECT_EQ(code_of([&] { nb::quantize(w); }), "shape_mismatch");
  EXPECT_EQ(code_of([&] { nb::quantize(w, {.bits = 7}); }), "invalid_argument");
  EXPECT_EQ(code_of([&] { nb::quantize(w, {.format = "q9_9"}); }), "invalid_argument");
  EXPECT_EQ(code_of([&] { nb::quantize(nb::zeros({2, 64}, DType::i32)); }), "dtype_mismatch");
  EXPECT_EQ(code_of([&] { nb::quantize(nb::zeros({})); }), "shape_mismatch");
  EXPECT_EQ(nb::quantize(w, {.group_size = 32}).shape(), w.shape());
}

}  // namespace
}  // namespace nibble_test
