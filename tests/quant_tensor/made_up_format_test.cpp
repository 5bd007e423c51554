// A format that no table knows: everything a packed tensor needs of its format is in the row, so adding one touches
// nothing else.
#include <gtest/gtest.h>

#include "nibble/error.h"
#include "tests/quant_tensor/golden_formats.h"

namespace nibble_test {
namespace {

// Signs: bit i of a byte says whether weight i of eight is negative; one magnitude for each eight.
constexpr nb::detail::ComponentSpec kParts[] = {{.name = "signs", .dtype = DType::u8},
                                                {.name = "magnitudes", .is_scale = true}};

void decode_signs(const nb::detail::PackedRow& row, std::int64_t begin, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t at = begin + i;
    float magnitude;
    std::memcpy(&magnitude, row.component[1] + at / 8 * 4, 4);
    out[i] = std::to_integer<int>(row.component[0][at / 8] >> (at % 8) & std::byte{1}) ? -magnitude : magnitude;
  }
}

constexpr Format kSigns = {.name = "sign1-g8",
                           .family = nb::Family::codebook,
                           .bits = 1,
                           .group_size = 8,
                           .block = 8,
                           .components = kParts,
                           .width = [](int, std::int64_t k) { return k / 8; },
                           .decode = decode_signs,
                           .bits_per_weight = 5,
                           .specification = "this test"};

TEST(MadeUpFormat, IsATensorLikeAnyOther) {
  const std::vector<Tensor> parts = {nb::tensor<std::uint8_t>({0x01, 0xff, 0x80, 0x00}, {2, 2}),
                                     nb::tensor<float>({1, 2, 3, 4}, {2, 2})};
  const Tensor w = nb::detail::make_packed(kSigns, parts, {2, 16}, DType::f32);
  EXPECT_TRUE(w.is_quantized());
  EXPECT_EQ(nb::describe(w), "sign1-g8 (2, 16)");
  EXPECT_EQ(w.nbytes(), 4u + 16u);
  const std::vector<float> expected = {-1, 1, 1, 1, 1, 1, 1, 1,  -2, -2, -2, -2, -2, -2, -2, -2,
                                       3,  3, 3, 3, 3, 3, 3, -3, 4,  4,  4,  4,  4,  4,  4,  4};
  EXPECT_EQ(w.to_vector<float>(), expected);

  const nb::PackingView view = nb::packing_of(w);
  EXPECT_EQ(view.format.name, "sign1-g8");
  EXPECT_EQ(view.components[1].first, "magnitudes");
  EXPECT_EQ(view.components[1].second.to_vector<float>(), (std::vector<float>{1, 2, 3, 4}));
}

TEST(MadeUpFormat, IsCheckedLikeAnyOther) {
  const std::vector<Tensor> parts = {nb::detail::make_dense({2, 2}, DType::u8),
                                     nb::detail::make_dense({2, 3}, DType::f32)};
  EXPECT_THROW(nb::detail::make_packed(kSigns, parts, {2, 16}, DType::f32), nb::Error);
  EXPECT_THROW(nb::detail::make_packed(kSigns, parts, {2, 20}, DType::f32), nb::Error);
}

TEST(MadeUpFormat, WithoutCodesHasNoOtherExpression) {
  const std::vector<Tensor> parts = {nb::tensor<std::uint8_t>({1, 2, 3, 4}, {1, 4}),
                                     nb::tensor<float>({1, 2, 3, 4}, {1, 4})};
  const Tensor w = nb::detail::make_packed(kSigns, parts, {1, 32}, DType::f32);
  try {
    nb::reexpress(w, "affine4-g32");
    FAIL();
  } catch (const nb::Error& e) {
    EXPECT_EQ(e.code(), nb::ErrorCode::unsupported);
  }
}

}  // namespace
}  // namespace nibble_test
