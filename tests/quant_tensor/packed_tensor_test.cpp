// make_packed, from_quantized, from_components, packing_of: what they accept, what they say when they refuse, and
// views.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nibble/error.h"
#include "tests/quant_tensor/golden_formats.h"

namespace nibble_test {
namespace {

using nb::ErrorCode;
using nb::Shape;
using nb::detail::TensorImpl;

/// Weights [begin, begin + length) of `count` rows from `row` on, with the packed axis moved to the front: what slices
/// and a transpose make of a 2-D tensor.
Tensor turned_slice(const Tensor& packed, std::int64_t row, std::int64_t count, std::int64_t begin,
                    std::int64_t length) {
  TensorImpl impl = packed.impl();
  auto packing = std::make_shared<nb::Packing>(*impl.packing);
  packing->begin += begin;
  packing->axis = 0;
  impl.packing = packing;
  impl.offset += row * impl.strides[0];
  impl.strides = {0, impl.strides[0]};
  impl.shape = {length, count};
  return nb::detail::make_tensor(impl);
}

std::vector<float> turned_values(const GoldenCase& c, std::int64_t row, std::int64_t count, std::int64_t begin,
                                 std::int64_t length) {
  std::vector<float> out;
  for (std::int64_t k = begin; k < begin + length; ++k) {
    for (std::int64_t r = row; r < row + count; ++r) out.push_back(c.values[static_cast<std::size_t>(r * c.k() + k)]);
  }
  return out;
}

TEST(PackedTensor, ViewsCutAtBlocksKeepTheirValuesAndShowTheirOwnComponents) {
  for (const GoldenCase& c : golden_cases()) {
    if (c.shape.rank() != 2) continue;
    SCOPED_TRACE(c.name);
    const std::int64_t half = c.k() / 2;
    const Tensor view = turned_slice(c.packed(), 1, 2, half, half);
    const std::vector<float> expected = turned_values(c, 1, 2, half, half);
    ASSERT_EQ(bits(view.to_vector<float>()), bits(expected));

    // Its components, taken for a tensor of their own, are the same weights with the packed axis last.
    const nb::PackingView shown = nb::packing_of(view);
    EXPECT_EQ(shown.axis, 0);
    EXPECT_EQ(shown.format.name, c.format->name);
    const Tensor again = nb::from_components(c.format->name, shown.components, {2, half}, DType::f32);
    EXPECT_EQ(bits(turned_slice(again, 0, 2, 0, half).to_vector<float>()), bits(expected));
  }
}

TEST(PackedTensor, HoldsItsOwnersBytesWithoutACopy) {
  for (const GoldenCase& c : golden_cases()) {
    const nb::PackingView view = nb::packing_of(c.packed());
    for (std::size_t i = 0; i < c.components.size(); ++i) {
      EXPECT_EQ(view.components[i].first, c.format->components[i].name);
      EXPECT_EQ(view.components[i].second.raw_data(), c.components[i].raw_data()) << c.name;
    }
  }
}

TEST(PackedTensor, IsLogicalOutside) {
  for (const GoldenCase& c : golden_cases()) {
    const Tensor packed = nb::detail::make_packed(*c.format, c.components, c.shape, DType::bf16);
    EXPECT_TRUE(packed.is_quantized());
    EXPECT_TRUE(nb::is_quantized(packed));
    EXPECT_EQ(packed.shape(), c.shape);
    EXPECT_EQ(packed.dtype(), DType::bf16);
    std::uint64_t stored = 0;
    for (const Tensor& component : c.components) stored += component.nbytes();
    EXPECT_EQ(packed.nbytes(), stored) << c.name;
  }
}

TEST(PackedTensor, FromQuantizedTakesShapeAndTypeFromTheTriplet) {
  for (const GoldenCase& c : golden_cases()) {
    if (c.format->mode != "affine") continue;
    const Tensor w = nb::from_quantized(c.components[0], c.components[1], c.components[2],
                                        {.bits = c.format->bits, .group_size = c.format->group_size});
    EXPECT_EQ(w.shape(), c.shape) << c.name;
    EXPECT_EQ(w.dtype(), c.scale_dtype) << c.name;
    EXPECT_EQ(w.packing()->format, c.format) << c.name;
    EXPECT_FALSE(nb::is_quantized(c.components[0]));
  }
}

TEST(PackedTensor, ExpertsAndEveryOtherRankPack) {
  const GoldenCase experts = golden_cases_of(*nb::detail::find_format("affine4-g64")).back();
  ASSERT_EQ(experts.shape.rank(), 3);
  EXPECT_EQ(bits(experts.packed().to_vector<float>()), bits(experts.values));

  const GoldenCase c = golden_cases_of(*nb::detail::find_format("q5_1")).front();
  const Tensor one_row = nb::detail::make_view(c.components[0], {c.components[0].shape().back()}, {1}, 0);
  const Tensor vector = nb::from_components("q5_1", {{"blocks", one_row}}, {c.k()});
  EXPECT_EQ(bits(vector.to_vector<float>()), bits({c.values.begin(), c.values.begin() + c.k()}));
}

TEST(PackedTensor, StridedComponentsAreCopiedRight) {
  const GoldenCase c = golden_cases_of(*nb::detail::find_format("affine3-g32")).front();
  std::vector<Tensor> every_second;
  for (const Tensor& t : c.components) {
    const std::int64_t width = t.shape().back();
    every_second.push_back(nb::detail::make_view(t, {2, width}, {2 * width, 1}, width));
  }
  const Tensor packed =
      nb::from_quantized(every_second[0], every_second[1], every_second[2], {.bits = 3, .group_size = 32});
  std::vector<float> expected(c.values.begin() + c.k(), c.values.begin() + 2 * c.k());
  expected.insert(expected.end(), c.values.begin() + 3 * c.k(), c.values.end());
  EXPECT_EQ(bits(packed.to_vector<float>()), bits(expected));
}

TEST(PackedTensor, EmptySizesAreTensorsToo) {
  for (const Format* format : nb::detail::format_table()) {
    for (const Shape& shape : {Shape{0, 256}, Shape{3, 0}, Shape{0, 0}, Shape{2, 0, 256}}) {
      const std::vector<Tensor> components = nb::detail::allocate_components(*format, shape, DType::f16);
      const Tensor packed = nb::detail::make_packed(*format, components, shape, DType::f16);
      EXPECT_EQ(packed.shape(), shape);
      EXPECT_EQ(packed.numel(), 0);
      EXPECT_EQ(packed.nbytes(), 0u);
      EXPECT_EQ(nb::packing_of(packed).components.size(), format->components.size());
    }
  }
}

/// What a call must throw: its code, and words of its one line of text.
template <class Call>
void expect_error(Call&& call, ErrorCode code, const std::vector<std::string>& words) {
  try {
    call();
    ADD_FAILURE() << "nothing thrown where '" << words.back() << "' was expected";
  } catch (const nb::Error& e) {
    EXPECT_EQ(e.code(), code) << e.what();
    for (const std::string& word : words) EXPECT_THAT(e.what(), testing::HasSubstr(word));
    EXPECT_THAT(e.what(), testing::Not(testing::HasSubstr("\n")));
  }
}

class BadTriplet : public testing::Test {
 protected:
  static Tensor dense(const Shape& shape, DType dtype) { return nb::detail::make_dense(shape, dtype); }

  Tensor codes_ = dense({4, 32}, DType::u32);
  Tensor scales_ = dense({4, 4}, DType::f16);
  Tensor biases_ = dense({4, 4}, DType::f16);

  void refuses(const Tensor& codes, const Tensor& scales, const Tensor& biases, nb::AffineParams params, ErrorCode code,
               std::vector<std::string> words) {
    words.insert(words.begin(), "[from_quantized] ");
    expect_error([&] { nb::from_quantized(codes, scales, biases, params); }, code, words);
  }
};

TEST_F(BadTriplet, TheGoodOneIsGood) {
  EXPECT_EQ(nb::from_quantized(codes_, scales_, biases_).shape(), (Shape{4, 256}));
}

TEST_F(BadTriplet, Parameters) {
  for (const int bits : {-4, 0, 1, 7, 9, 16}) {
    refuses(codes_, scales_, biases_, {.bits = bits}, ErrorCode::invalid_argument,
            {"bits " + std::to_string(bits), "2, 3, 4, 5, 6, 8"});
  }
  for (const int group : {-64, 0, 1, 16, 48, 256}) {
    refuses(codes_, scales_, biases_, {.group_size = group}, ErrorCode::invalid_argument,
            {"group size " + std::to_string(group), "32, 64, 128"});
  }
}

TEST_F(BadTriplet, MissingPieces) {
  refuses({}, scales_, biases_, {}, ErrorCode::invalid_argument, {"codes missing"});
  refuses(codes_, {}, biases_, {}, ErrorCode::invalid_argument, {"scales missing"});
  refuses(codes_, scales_, {}, {}, ErrorCode::invalid_argument, {"biases missing"});
}

TEST_F(BadTriplet, Types) {
  refuses(dense({4, 32}, DType::i32), scales_, biases_, {}, ErrorCode::dtype_mismatch, {"codes i32 (4, 32)", "u32"});
  refuses(codes_, dense({4, 4}, DType::f64), biases_, {}, ErrorCode::dtype_mismatch,
          {"scales f64 (4, 4)", "f32, f16 or bf16"});
  refuses(codes_, dense({4, 4}, DType::i32), biases_, {}, ErrorCode::dtype_mismatch, {"scales i32 (4, 4)"});
  refuses(codes_, scales_, dense({4, 4}, DType::u8), {}, ErrorCode::dtype_mismatch, {"biases u8 (4, 4)"});
  refuses(codes_, scales_, dense({4, 4}, DType::bf16), {}, ErrorCode::dtype_mismatch, {"biases is bf16", "f16"});
  refuses(codes_, nb::from_quantized(codes_, scales_, biases_), biases_, {}, ErrorCode::invalid_argument,
          {"scales affine4-g64", "dense"});
}

TEST_F(BadTriplet, Shapes) {
  refuses(codes_, dense({4, 3}, DType::f16), biases_, {}, ErrorCode::shape_mismatch,
          {"(4, 256)", "scales f16 (4, 3)", "(4, 4)"});
  refuses(codes_, scales_, dense({4, 5}, DType::f16), {}, ErrorCode::shape_mismatch, {"biases f16 (4, 5)", "(4, 4)"});
  refuses(codes_, dense({5, 4}, DType::f16), biases_, {}, ErrorCode::shape_mismatch, {"scales f16 (5, 4)"});
  refuses(codes_, dense({1, 4, 4}, DType::f16), biases_, {}, ErrorCode::shape_mismatch, {"scales f16 (1, 4, 4)"});
  refuses(dense({}, DType::u32), scales_, biases_, {}, ErrorCode::shape_mismatch, {"codes u32 ()"});
  refuses(dense({4, 12}, DType::u32), scales_, biases_, {}, ErrorCode::shape_mismatch, {"12 words", "groups of 64"});
  refuses(codes_, scales_, biases_, {.bits = 3}, ErrorCode::shape_mismatch,
          {"affine3-g64", "32 words", "6 words each"});
  refuses(codes_, scales_, biases_, {.bits = 8}, ErrorCode::shape_mismatch, {"affine8-g64 (4, 128)", "(4, 2)"});
  refuses(codes_, scales_, biases_, {.group_size = 32}, ErrorCode::shape_mismatch, {"affine4-g32 (4, 256)", "(4, 8)"});
}

TEST(FromComponents, RefusesWhatDoesNotFit) {
  const auto dense = [](const Shape& shape, DType dtype) { return nb::detail::make_dense(shape, dtype); };
  const Tensor blocks = dense({2, 36}, DType::u8);
  const Tensor codes = dense({2, 8}, DType::u32), scales = dense({2, 1}, DType::bf16),
               biases = dense({2, 1}, DType::bf16);
  const auto refuses = [](std::string_view format, const nb::Components& components, const Shape& shape, ErrorCode code,
                          std::vector<std::string> words, std::optional<DType> dtype = {}) {
    words.insert(words.begin(), "[from_components] ");
    expect_error([&] { nb::from_components(format, components, shape, dtype); }, code, words);
  };
  EXPECT_EQ(nb::from_components("q4_0", {{"blocks", blocks}}, {2, 64}).dtype(), DType::f32);
  EXPECT_EQ(nb::from_components("q4_0", {{"blocks", blocks}}, {2, 64}, DType::f16).dtype(), DType::f16);
  EXPECT_EQ(
      nb::from_components("affine4-g64", {{"biases", biases}, {"scales", scales}, {"codes", codes}}, {2, 64}).dtype(),
      DType::bf16);

  refuses("q9_9", {{"blocks", blocks}}, {2, 64}, ErrorCode::invalid_argument, {"'q9_9'", "affine2-g32", "q8_0"});
  refuses("affine", {{"blocks", blocks}}, {2, 64}, ErrorCode::invalid_argument, {"'affine'"});
  refuses("q4_0", {}, {2, 64}, ErrorCode::invalid_argument, {"q4_0 (2, 64)", "blocks missing"});
  refuses("q4_0", {{"codes", blocks}}, {2, 64}, ErrorCode::invalid_argument, {"q4_0", "'codes'"});
  refuses("q4_0", {{"blocks", blocks}, {"blocks", blocks}}, {2, 64}, ErrorCode::invalid_argument, {"given twice"});
  refuses("affine4-g64", {{"codes", codes}, {"scales", scales}}, {2, 64}, ErrorCode::invalid_argument,
          {"biases missing"});
  refuses("affine4-g64", {{"codes", codes}, {"biases", biases}}, {2, 64}, ErrorCode::invalid_argument,
          {"scales missing"});
  refuses("q4_0", {{"blocks", blocks}}, {2, 96}, ErrorCode::shape_mismatch, {"blocks u8 (2, 36)", "(2, 54)"});
  refuses("q4_0", {{"blocks", blocks}}, {2, 48}, ErrorCode::shape_mismatch, {"group size 32 does not divide", "48"});
  refuses("q4_0", {{"blocks", blocks}}, {-2, 64}, ErrorCode::shape_mismatch, {"(-2, 64)", "negative"});
  refuses("q4_0", {{"blocks", blocks}}, {}, ErrorCode::shape_mismatch, {"at least one axis"});
  refuses("q4_0", {{"blocks", dense({2, 36}, DType::i8)}}, {2, 64}, ErrorCode::dtype_mismatch, {"blocks i8", "u8"});
  refuses("q4_0", {{"blocks", blocks}}, {2, 64}, ErrorCode::dtype_mismatch, {"logical dtype i32"}, DType::i32);
  refuses("q4_0", {{"blocks", nb::from_components("q4_0", {{"blocks", blocks}}, {2, 64})}}, {2, 64},
          ErrorCode::invalid_argument, {"must be dense"});
}

TEST(MakePacked, CountsComponents) {
  const Format& format = *nb::detail::find_format("q4_0");
  const Tensor blocks = nb::detail::make_dense({2, 36}, DType::u8);
  const Tensor two[] = {blocks, blocks};
  expect_error(
      [&] {
        nb::detail::make_packed(format, two, {2, 64}, DType::f32, "load");
      },
      ErrorCode::invalid_argument, {"[load] q4_0 (2, 64)", "2 components given, 1 needed"});
}

TEST(PackingOf, RefusesADenseTensor) {
  expect_error(
      [] {
        nb::packing_of(nb::detail::make_dense({2, 3}, DType::f32));
      },
      ErrorCode::invalid_argument, {"[packing_of] f32 (2, 3)", "dense"});
}

}  // namespace
}  // namespace nibble_test
