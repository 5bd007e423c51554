// What NumPy cannot tell: numbers beside tensors, dtypes, error texts, updates in place, packed operands, options.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "nibble/error.h"
#include "nibble/ops.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nb = nibble;
using nb::DType;
using nb::ErrorCode;
using nb::Shape;
using nb::Tensor;
using nb::detail::bytes_of;
using testing::Each;
using testing::ElementsAre;

namespace {

std::vector<float> floats(const Tensor& t) { return nb::cast(t, DType::f32).to_vector<float>(); }

template <class F>
void expect_error(F&& f, ErrorCode code, const std::string& text) {
  try {
    f();
    FAIL() << "did not throw: " << text;
  } catch (const nb::Error& e) {
    EXPECT_EQ(e.what(), text);
    EXPECT_EQ(e.code(), code) << text;
  }
}

TEST(Creation, FillsAndCounts) {
  EXPECT_THAT(floats(nb::full({2, 2}, 1.5, DType::bf16)), ElementsAre(1.5f, 1.5f, 1.5f, 1.5f));
  EXPECT_THAT(nb::full({3}, -2, DType::i8).to_vector<std::int8_t>(), ElementsAre(-2, -2, -2));
  EXPECT_THAT(floats(nb::full({2}, 3, DType::boolean)), ElementsAre(1, 1));
  EXPECT_EQ(nb::zeros({0, 3}).numel(), 0);
  EXPECT_EQ(nb::full({}, 7).item<float>(), 7);
  EXPECT_THAT(nb::arange(0, 5, 2).to_vector<std::int32_t>(), ElementsAre(0, 2, 4));
  EXPECT_THAT(nb::arange(5, 0, -2, DType::i64).to_vector<std::int64_t>(), ElementsAre(5, 3, 1));
  EXPECT_THAT(floats(nb::arange(0, 1, 0.25, DType::f32)), ElementsAre(0, 0.25f, 0.5f, 0.75f));
  EXPECT_EQ(nb::arange(3, 3).numel(), 0);
  EXPECT_THROW(nb::arange(0, 3, 0), nb::Error);
  EXPECT_THROW(nb::zeros({-1}), nb::Error);
}

TEST(Random, IsPhiloxWhateverTheThreads) {
  // Known answer of Philox4x32-10 for a zero counter and key (Random123's kat_vectors): 6627e8d5 e169c58d bc57ac4c
  // 9b00dbd8.
  const std::uint32_t words[] = {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u};
  const std::vector<float> u = floats(nb::random_uniform({4}, 0));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(u[i], static_cast<float>(words[i] >> 8) * 0x1p-24f);

  const int before = nb::num_threads();
  nb::set_num_threads(1);
  const std::vector<float> one = floats(nb::random_normal({100003}, 42));
  nb::set_num_threads(3);
  EXPECT_EQ(floats(nb::random_normal({100003}, 42)), one);
  nb::set_num_threads(before);
  EXPECT_NE(floats(nb::random_normal({100003}, 43)), one);

  double mean = 0, square = 0, tail = 0;
  for (const float v : one) mean += v, square += static_cast<double>(v) * v, tail += std::fabs(v) > 1.959964f;
  EXPECT_NEAR(mean / 100003, 0, 0.01);
  EXPECT_NEAR(square / 100003, 1, 0.015);
  EXPECT_NEAR(tail / 100003, 0.05, 0.003);
  for (DType d : {DType::f32, DType::f16, DType::bf16}) {
    for (const float v : floats(nb::random_uniform({5000}, 1, -2, 3, d))) ASSERT_TRUE(v >= -2 && v < 3) << v;
  }
}

TEST(Scalars, AreWeak) {
  const auto dtype = [](const Tensor& t) { return t.dtype(); };
  const Tensor h = nb::ones({2}, DType::f16), i = nb::ones({2}, DType::i8), b = nb::ones({2}, DType::boolean);
  EXPECT_EQ(dtype(h + 1), DType::f16);
  EXPECT_EQ(dtype(h * 2.5), DType::f16);
  EXPECT_EQ(dtype(1.5f - h), DType::f16);
  EXPECT_EQ(dtype(i + 1), DType::i8);
  EXPECT_EQ(dtype(i + std::size_t{1}), DType::i8);
  EXPECT_EQ(dtype(2u * h), DType::f16);
  EXPECT_EQ(nb::add(3ll, std::uint16_t{4}).item<std::int32_t>(), 7);
  EXPECT_EQ(dtype(i + 0.5), DType::f32);
  EXPECT_EQ(dtype(i / 2), DType::f32);
  EXPECT_EQ(dtype(b + 1), DType::i32);
  EXPECT_EQ(dtype(b + b), DType::i32);
  EXPECT_EQ(dtype(nb::maximum(b, b)), DType::boolean);
  EXPECT_EQ(dtype(nb::add(1, 2)), DType::i32);
  EXPECT_EQ(nb::add(1, 2.5).item<float>(), 3.5f);
  EXPECT_THAT(floats(5 - nb::arange(0, 3)), ElementsAre(5, 4, 3));
  EXPECT_THAT(floats(nb::power(2, nb::arange(0, 4))), ElementsAre(1, 2, 4, 8));
  EXPECT_THAT(floats(nb::where(nb::less(nb::arange(0, 3), 1), 7, -1)), ElementsAre(7, -1, -1));
}

TEST(Promotion, OfOperands) {
  const auto of = [](DType a, DType b) { return nb::add(nb::ones({1}, a), nb::ones({1}, b)).dtype(); };
  EXPECT_EQ(of(DType::f16, DType::bf16), DType::f32);
  EXPECT_EQ(of(DType::bf16, DType::f32), DType::f32);
  EXPECT_EQ(of(DType::i64, DType::f16), DType::f16);
  EXPECT_EQ(of(DType::i8, DType::u8), DType::i32);  // the least that arithmetic takes
  EXPECT_EQ(of(DType::i32, DType::boolean), DType::i32);
  EXPECT_EQ(of(DType::u32, DType::i32), DType::i64);
}

TEST(Errors, NameOperandsAndRule) {
  const Tensor x = nb::zeros({3, 4}), d = nb::zeros({2}, DType::f64);
  expect_error([&] { nb::add(x, nb::zeros({5})); }, ErrorCode::shape_mismatch,
               "[add] a f32 (3, 4) · b f32 (5,): shapes do not broadcast");
  expect_error([&] { nb::exp(d); }, ErrorCode::dtype_mismatch,
               "[exp] f64 (2,): f64 is for storage; cast it to f32, f16, bf16, i8, u8, i32, u32, i64 or bool");
  expect_error([&] { nb::negative(nb::ones({2}, DType::boolean)); }, ErrorCode::dtype_mismatch,
               "[negative] bool (2,): takes numbers, not booleans");
  expect_error([&] { nb::sum(x, {0, 2}); }, ErrorCode::invalid_argument, "[sum] axis 2 of a tensor of 2 axes");
  expect_error(
      [&] {
        nb::sum(x, {0, -2});
      },
      ErrorCode::invalid_argument, "[sum] x f32 (3, 4) over (0, -2): an axis is named twice");
  expect_error(
      [&] {
        nb::max(nb::zeros({2, 0}), {1});
      },
      ErrorCode::shape_mismatch, "[max] f32 (2, 0): nothing to choose from along the reduced axes");
  expect_error(
      [&] {
        nb::reshape(x, {5, -1});
      },
      ErrorCode::shape_mismatch, "[reshape] x f32 (3, 4) to (5, -1): 12 elements do not divide into it");
  expect_error(
      [&] {
        nb::reshape(x, {5, 2});
      },
      ErrorCode::shape_mismatch, "[reshape] x f32 (3, 4) to (5, 2): 12 elements cannot become 10");
  expect_error(
      [&] {
        nb::transpose(x, {0, 0});
      },
      ErrorCode::invalid_argument, "[transpose] x f32 (3, 4) by (0, 0): every axis must be named once");
  expect_error([&] { nb::squeeze(x, {0}); }, ErrorCode::shape_mismatch,
               "[squeeze] f32 (3, 4): axis 0 has 3 entries, not one");
  expect_error(
      [&] {
        nb::broadcast_to(x, {3, 5});
      },
      ErrorCode::shape_mismatch, "[broadcast_to] x f32 (3, 4) to (3, 5): shapes do not broadcast");
  expect_error([&] { nb::select(x, 0, 3); }, ErrorCode::out_of_range,
               "[select] f32 (3, 4): index 3 of 3 entries along axis 0");
  expect_error([&] { nb::split(x, 2); }, ErrorCode::invalid_argument,
               "[split] f32 (3, 4): 3 entries do not split into 2 equal parts");
  expect_error(
      [&] {
        nb::concatenate(std::vector<Tensor>{x, nb::zeros({3, 5})});
      },
      ErrorCode::shape_mismatch, "[concatenate] f32 (3, 4) · f32 (3, 5): shapes differ beside axis 0");
  expect_error(
      [&] {
        // A device tells where it is waited for.
        nb::take(x, nb::tensor<std::int32_t>({0, -4}, {2})).to_vector<float>();
      },
      ErrorCode::out_of_range, "[take] x f32 (3, 4): index -4 of 3 entries");
  expect_error([&] { nb::take(x, nb::zeros({1})); }, ErrorCode::dtype_mismatch,
               "[take] x f32 (3, 4) · indices f32 (1,): indices must be i32, i64 or u32");
  expect_error([&] { nb::where(x, 1, 2); }, ErrorCode::dtype_mismatch,
               "[where] condition f32 (3, 4) · a 1 · b 2: the condition must be boolean");
  expect_error([&] { nb::topk(x, 5); }, ErrorCode::invalid_argument, "[topk] f32 (3, 4): k is 5 of 4 entries");
  expect_error([&] { nb::rms_norm(x, nb::ones({3})); }, ErrorCode::shape_mismatch,
               "[rms_norm] x f32 (3, 4) · weight f32 (3,): weight must have one entry for each of x's last axis");
  expect_error([&] { nb::rms_norm(nb::cast(x, DType::i32), nb::ones({4})); }, ErrorCode::dtype_mismatch,
               "[rms_norm] i32 (3, 4): takes f32, f16 or bf16");
  expect_error(
      [&] {
        nb::update_slice(x, nb::zeros({3, 2}), 3, 1);
      },
      ErrorCode::out_of_range, "[update_slice] x f32 (3, 4) · rows f32 (3, 2): 2 rows from 3 on leave axis 1");
  expect_error(
      [&] {
        nb::update_slice(x, nb::zeros({2, 2}), 0, 1);
      },
      ErrorCode::shape_mismatch, "[update_slice] x f32 (3, 4) · rows f32 (2, 2): shapes differ beside axis 1");
  const Tensor q = nb::zeros({1, 4, 2, 8}), k = nb::zeros({1, 3, 5, 8});
  expect_error([&] { nb::scaled_dot_product_attention(q, k, k); }, ErrorCode::shape_mismatch,
               "[scaled_dot_product_attention] q f32 (1, 4, 2, 8) · k f32 (1, 3, 5, 8) · v f32 (1, 3, 5, 8): "
               "q's heads are no multiple of k's");
  EXPECT_THROW(nb::set_default_device(nb::Device::vulkan(255)), nb::Error);
}

TEST(Views, ShareStorageAndReshapeCopiesOnlyWhereItMust) {
  const nb::with on_host({});  // whose tensors have addresses
  const Tensor x = nb::reshape(nb::arange(0, 24, 1, DType::f32), {2, 3, 4});
  const auto* start = static_cast<const float*>(x.raw_data());
  const auto is_view = [&](const Tensor& t) {
    const Tensor first = nb::reshape(t, {t.numel()});
    return first.is_contiguous() && first.raw_data() >= start && first.raw_data() < start + 24;
  };
  EXPECT_TRUE(is_view(nb::reshape(x, {4, 6})));
  EXPECT_TRUE(is_view(nb::select(x, 0, 1)));
  EXPECT_TRUE(is_view(nb::slice(x, 0, 1, 2)));
  EXPECT_TRUE(is_view(nb::expand_dims(x, 0)));
  EXPECT_FALSE(is_view(nb::transpose(x)));  // reshaping it copies
  EXPECT_EQ(nb::reshape(nb::transpose(x, {0, 2, 1}), {2, 4, 3, 1}).shape(), (Shape{2, 4, 3, 1}));
  EXPECT_FALSE(nb::reshape(nb::transpose(x, {0, 2, 1}), {2, 2, 2, 3}).is_contiguous());  // splits an axis: still a view
  EXPECT_EQ(nb::contiguous(x).raw_data(), x.raw_data());
  EXPECT_EQ(nb::cast(x, DType::f32).raw_data(), x.raw_data());
  const Tensor squeezed = nb::squeeze(nb::zeros({1, 3, 1}));
  EXPECT_EQ(squeezed.shape(), Shape{3});
  EXPECT_EQ(nb::squeeze(nb::zeros({1, 3, 1}), {-1}).shape(), (Shape{1, 3}));
  EXPECT_EQ(nb::sum(x, {1}, true).shape(), (Shape{2, 1, 4}));
  EXPECT_EQ(nb::argmax(x, 1, true).shape(), (Shape{2, 1, 4}));
}

TEST(Empty, SizesGiveEmptyOrNeutralResults) {
  const Tensor none = nb::zeros({0, 4});
  EXPECT_EQ(nb::add(none, nb::ones({4})).shape(), (Shape{0, 4}));
  EXPECT_EQ(nb::exp(none).numel(), 0);
  EXPECT_EQ(nb::sum(none).item<float>(), 0);
  EXPECT_THAT(floats(nb::sum(none, {0})), Each(0));
  EXPECT_TRUE(std::isnan(nb::mean(none).item<float>()));
  EXPECT_EQ(nb::logsumexp(none).item<float>(), -std::numeric_limits<float>::infinity());
  EXPECT_EQ(nb::max(none, {1}).numel(), 0);
  EXPECT_EQ(nb::softmax(none).numel(), 0);
  EXPECT_EQ(nb::softmax(nb::zeros({4, 0})).numel(), 0);
  EXPECT_EQ(nb::sort(nb::zeros({4, 0})).numel(), 0);
  EXPECT_EQ(nb::take(nb::zeros({4, 2}), nb::zeros({0}, DType::i32)).shape(), (Shape{0, 2}));
  EXPECT_EQ(nb::concatenate(std::vector<Tensor>{none, nb::ones({1, 4})}).shape(), (Shape{1, 4}));
  EXPECT_EQ(nb::rms_norm(none, nb::ones({4})).numel(), 0);
  EXPECT_EQ(nb::reshape(none, {4, 0, 2}).numel(), 0);
  EXPECT_EQ(nb::rope(nb::zeros({2, 0, 4}), 0, nb::rope_frequencies(4, 10)).numel(), 0);
  EXPECT_EQ(nb::update_slice(nb::ones({2, 3}), nb::zeros({2, 0}), 3, 1).numel(), 6);
}

TEST(UpdateSlice, WritesInPlaceOnlyWhereNobodyElseLooks) {
  nb::reset_stats();
  Tensor cache = nb::zeros({2, 4, 3});
  const void* place = bytes_of(cache);
  cache = nb::update_slice(std::move(cache), nb::ones({2, 1, 3}), 2, 1);
  EXPECT_EQ(bytes_of(cache), place);
  EXPECT_EQ(nb::stats().bytes_copied, 0u);
  EXPECT_THAT(floats(nb::select(cache, 0, 1)), ElementsAre(0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0));

  // A second handle, or a view, must keep its values.
  for (bool view : {false, true}) {
    const Tensor other = view ? nb::slice(cache, 1, 0, 2) : cache;
    const std::vector<float> before = floats(other);
    nb::reset_stats();
    const Tensor updated = nb::update_slice(std::move(cache), nb::full({2, 1, 3}, 9), 0, 1);
    EXPECT_NE(bytes_of(updated), place);
    EXPECT_EQ(nb::stats().bytes_copied, 2u * 4 * 3 * 4);
    EXPECT_EQ(floats(other), before);
    EXPECT_EQ(floats(updated)[0], 9);
    cache = updated;
    place = bytes_of(updated);
    const nb::with strict({.fallback = nb::Fallback::error});
    EXPECT_THROW(nb::update_slice(cache, nb::full({2, 1, 3}, 9), 0, 1), nb::Error);
  }
  // Rows of the tensor itself.
  Tensor own = nb::reshape(nb::arange(0, 6, 1, DType::f32), {3, 2});
  const Tensor rows = nb::slice(own, 0, 0, 2);
  EXPECT_THAT(floats(nb::update_slice(std::move(own), rows, 1, 0)), ElementsAre(0, 1, 0, 1, 2, 3));
  // Memory that is not ours is never written.
  const std::vector<float> host(4, 5.0f);
  const Tensor borrowed = nb::from_borrowed(nullptr, host.data(), {4}, DType::f32);
  const Tensor zero = nb::zeros({1}).to(nb::Device::cpu());
  EXPECT_THAT(floats(nb::update_slice(nb::slice(borrowed, 0, 0, 4), zero, 0, 0)), ElementsAre(0, 5, 5, 5));
  EXPECT_THAT(host, Each(5.0f));
  // A broadcast shares its places with itself.
  EXPECT_THAT(floats(nb::update_slice(nb::broadcast_to(nb::zeros({1}), {3}), nb::ones({1}), 1, 0)),
              ElementsAre(0, 1, 0));
}

TEST(UpdateSlice, RowsOfAPackedTensorArePackedInPlace) {
  const Tensor rows = nb::random_normal({2, 3, 4, 64}, 1);
  for (const char* format : {"q8_0", "affine4-g32"}) {
    const Tensor packed = nb::dequantize(nb::quantize(rows, {.format = format}));
    nb::reset_stats();
    Tensor cache = nb::empty({2, 3, 9, 64}, format);
    EXPECT_TRUE(cache.is_quantized());
    cache = nb::update_slice(std::move(cache), rows, nb::tensor<std::int32_t>({5, 1}, {2}), 2);
    EXPECT_EQ(nb::stats().bytes_copied, 0u);
    EXPECT_EQ(nb::stats().bytes_dequantized, 0u);
    const Tensor values = nb::dequantize(cache);
    for (const auto& [entry, start] : {std::pair{0, 5}, {1, 1}}) {
      EXPECT_EQ(floats(nb::slice(nb::select(values, 0, entry), 1, start, start + 4)),
                floats(nb::select(packed, 0, entry)));
    }
    // Along another axis, of other dtypes and strides.
    const Tensor turned = nb::swapaxes(nb::contiguous(nb::swapaxes(nb::cast(rows, DType::bf16), 2, 3)), 2, 3);
    const Tensor bf16 =
        nb::dequantize(nb::quantize(nb::cast(nb::cast(rows, DType::bf16), DType::f32), {.format = format}));
    Tensor wide = nb::empty({2, 5, 4, 64}, format);
    wide = nb::update_slice(std::move(wide), turned, 2, 1);
    EXPECT_EQ(floats(nb::slice(nb::dequantize(wide), 1, 2, 5)), floats(bf16));
    // Shared with another handle it is copied; what the other one sees stays.
    const Tensor other = cache;
    cache = nb::update_slice(std::move(cache), nb::zeros({2, 3, 1, 64}), 5, 2);
    EXPECT_EQ(nb::stats().bytes_copied, other.nbytes());
    EXPECT_EQ(floats(nb::select(nb::select(nb::dequantize(other), 0, 0), 1, 5)),
              floats(nb::select(nb::select(packed, 0, 0), 1, 0)));
    EXPECT_EQ(floats(nb::select(nb::select(nb::dequantize(cache), 0, 0), 1, 5)), std::vector<float>(3 * 64, 0.0f));
    const nb::with strict({.fallback = nb::Fallback::error});
    const Tensor shared = cache;
    EXPECT_THROW(nb::update_slice(cache, nb::zeros({2, 3, 1, 64}), 5, 2), nb::Error);
  }
  // Where rows are not whole it is decoded, and that is counted.
  nb::reset_stats();
  const Tensor dense = nb::update_slice(nb::quantize(rows, {.format = "q8_0"}), nb::zeros({2, 3, 4, 1}), 7, 3);
  EXPECT_FALSE(dense.is_quantized());
  EXPECT_GT(nb::stats().bytes_dequantized, 0u);

  EXPECT_EQ(nb::empty({2, 3}, "bf16").dtype(), DType::bf16);
  EXPECT_THROW(nb::empty({2, 48}, "q8_0"), nb::Error);
  EXPECT_THROW(nb::empty({}, "q8_0"), nb::Error);
  EXPECT_THROW(nb::empty({2, 64}, "q9_9"), nb::Error);
}

TEST(UpdateSlice, StartsMayBeTensors) {
  const Tensor rows = nb::reshape(nb::arange(1, 5, 1, DType::f32), {2, 2});
  EXPECT_THAT(floats(nb::update_slice(nb::zeros({2, 4}), rows, nb::tensor<std::int32_t>({1}, {}), 1)),
              ElementsAre(0, 1, 2, 0, 0, 3, 4, 0));
  EXPECT_THAT(floats(nb::update_slice(nb::zeros({2, 4}), rows, nb::tensor<std::int32_t>({2, 0}, {2}), 1)),
              ElementsAre(0, 0, 1, 2, 3, 4, 0, 0));
  EXPECT_THROW(floats(nb::update_slice(nb::zeros({2, 4}), rows, nb::tensor<std::int32_t>({0, 3}, {2}), 1)), nb::Error);
  EXPECT_THROW(nb::update_slice(nb::zeros({2, 4}), rows, -1, 1), nb::Error);
  // Into a cache of another dtype the rows are rounded.
  EXPECT_EQ(nb::update_slice(nb::zeros({2, 4}, DType::bf16), rows, 0, 1).dtype(), DType::bf16);
}

// ---- packed operands ----

class PackedOps : public testing::Test {
 protected:
  Tensor w_ = nb::quantize(nb::random_normal({2, 6, 128}, 3), {4, 32});
  Tensor dense_ = nb::dequantize(w_);
};

TEST_F(PackedOps, ViewsStayPackedAndMeanTheSame) {
  nb::reset_stats();
  using View = std::function<Tensor(const Tensor&)>;
  const std::vector<std::pair<const char*, View>> views = {
      {"transpose", [](const Tensor& x) { return nb::transpose(x); }},
      {"transpose axes",
       [](const Tensor& x) {
         return nb::transpose(x, {2, 0, 1});
       }},
      {"swapaxes", [](const Tensor& x) { return nb::swapaxes(x, 1, 2); }},
      {"expand_dims", [](const Tensor& x) { return nb::expand_dims(x, 2); }},
      {"expand_dims last", [](const Tensor& x) { return nb::expand_dims(x, -1); }},
      {"squeeze", [](const Tensor& x) { return nb::squeeze(nb::expand_dims(x, 1)); }},
      {"broadcast_to",
       [](const Tensor& x) {
         return nb::broadcast_to(x, {3, 2, 6, 128});
       }},
      {"select expert", [](const Tensor& x) { return nb::select(x, 0, -1); }},
      {"slice rows", [](const Tensor& x) { return nb::slice(x, 1, 1, 5, 2); }},
      {"slice blocks", [](const Tensor& x) { return nb::slice(x, 2, 32, 96); }},
      {"slice of slice", [](const Tensor& x) { return nb::slice(nb::slice(nb::transpose(x), 0, 32, 128), 0, 64, 96); }},
      {"flip rows", [](const Tensor& x) { return nb::flip(x, {1}); }},
      {"reshape rows",
       [](const Tensor& x) {
         return nb::reshape(x, {3, 4, 128});
       }},
      {"reshape flat",
       [](const Tensor& x) {
         return nb::reshape(x, {12, 128});
       }},
      {"reshape transposed",
       [](const Tensor& x) {
         return nb::reshape(nb::transpose(x, {2, 0, 1}), {128, 12});
       }},
      {"cast to its own dtype", [](const Tensor& x) { return nb::cast(x, DType::f32); }},
  };
  for (const auto& [name, view] : views) {
    const Tensor got = view(w_), want = view(dense_);
    EXPECT_TRUE(got.is_quantized()) << name;
    EXPECT_EQ(got.shape(), want.shape()) << name;
    EXPECT_EQ(got.to_vector<float>(), want.to_vector<float>()) << name;
  }
  EXPECT_EQ(nb::stats().bytes_dequantized, 0u);
}

TEST_F(PackedOps, EverythingElseDecodesCountedOnlyWhatItNeeds) {
  using Op = std::function<Tensor(const Tensor&)>;
  struct Row {
    const char* name;
    Op op;
    std::uint64_t decoded;  ///< bytes; 0: of the whole tensor
  };
  const std::vector<Row> rows = {
      {"exp", [](const Tensor& x) { return nb::exp(x); }, 0},
      {"add", [](const Tensor& x) { return x + 1; }, 0},
      {"sum",
       [](const Tensor& x) {
         return nb::sum(x, {0, 2});
       },
       0},
      {"softmax", [](const Tensor& x) { return nb::softmax(x, 1); }, 0},
      {"sort", [](const Tensor& x) { return nb::sort(x, 1); }, 0},
      {"where", [](const Tensor& x) { return nb::where(nb::less(nb::arange(0, 128), 64), x, 0); }, 0},
      {"concatenate", [](const Tensor& x) { return nb::concatenate(std::vector<Tensor>{x}, 2); }, 0},
      {"pad",
       [](const Tensor& x) {
         return nb::pad(x, {0, 0, 1}, {0, 0, 0});
       },
       0},
      {"contiguous", [](const Tensor& x) { return nb::contiguous(x); }, 0},
      {"reshape across",
       [](const Tensor& x) {
         return nb::reshape(x, {2, 6, 2, 64});
       },
       0},
      {"slice off blocks", [](const Tensor& x) { return nb::slice(x, 2, 33, 40); }, 2 * 6 * 32 * 4},
      {"slice backwards", [](const Tensor& x) { return nb::slice(x, 2, 70, 30, -3); }, 2 * 6 * 96 * 4},
      {"select a column", [](const Tensor& x) { return nb::select(x, 2, 127); }, 2 * 6 * 32 * 4},
      {"flip columns", [](const Tensor& x) { return nb::flip(x, {2}); }, 0},
      {"take_along_axis",
       [](const Tensor& x) {
         return nb::take_along_axis(x, nb::zeros({1, 1, 2}, DType::i32), 2);
       },
       0},
      {"cast", [](const Tensor& x) { return nb::cast(x, DType::f16); }, 2 * 6 * 128 * 2},
  };
  for (const Row& row : rows) {
    nb::reset_stats();
    const Tensor got = row.op(w_);
    EXPECT_EQ(nb::stats().bytes_dequantized, row.decoded ? row.decoded : 2u * 6 * 128 * 4) << row.name;
    EXPECT_EQ(floats(got), floats(row.op(dense_))) << row.name;
    const nb::with strict({.fallback = nb::Fallback::error});
    EXPECT_THROW(row.op(w_), nb::Error) << row.name;
  }
}

// ---- options, threads ----

TEST(Options, InnermostWithCountsOnItsThread) {
  EXPECT_EQ(nb::options().precision, nb::Precision::standard);
  {
    const nb::with outer({.precision = nb::Precision::exact});
    {
      const nb::with inner({.fallback = nb::Fallback::error});
      EXPECT_EQ(nb::options().fallback, nb::Fallback::error);
      EXPECT_EQ(nb::options().precision, nb::Precision::standard);
    }
    EXPECT_EQ(nb::options().precision, nb::Precision::exact);
    std::thread([] { EXPECT_EQ(nb::options().precision, nb::Precision::standard); }).join();
  }
  const nb::Options before = nb::options();
  nb::set_default_options({.precision = nb::Precision::fast});
  EXPECT_EQ(nb::options().precision, nb::Precision::fast);
  std::thread([] { EXPECT_EQ(nb::options().precision, nb::Precision::fast); }).join();
  nb::set_default_options(before);  // with the device that NIBBLE_DEVICE names
}

TEST(Threads, ShareTensors) {
  const int before = nb::num_threads();
  nb::set_num_threads(3);
  const Tensor x = nb::random_normal({64, 1024}, 1);  // large enough for several threads each
  const std::vector<float> want = floats(nb::sum(nb::exp(nb::transpose(x)), {1}));
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10; ++i) EXPECT_EQ(floats(nb::sum(nb::exp(nb::transpose(x)), {1})), want);
    });
  }
  for (std::thread& t : threads) t.join();
  nb::set_num_threads(before);
}

TEST(Large, OperationsSplitOverThreadsMatchSmallOnes) {
  const int before = nb::num_threads();
  nb::set_num_threads(4);
  const Tensor x = nb::random_normal({300, 401}, 1), y = nb::random_normal({401}, 2);
  const std::vector<float> xs = floats(x), ys = floats(y), sums = floats(x + y), turned = floats(nb::transpose(x) * 2);
  for (std::size_t r = 0; r < 300; ++r) {
    for (std::size_t c = 0; c < 401; ++c) {
      ASSERT_EQ(sums[r * 401 + c], xs[r * 401 + c] + ys[c]);
      ASSERT_EQ(turned[c * 300 + r], xs[r * 401 + c] * 2);
    }
  }
  nb::set_num_threads(before);
}

TEST(Devices, TheCpuIsThere) {
  const auto list = nb::devices();
  ASSERT_FALSE(list.empty());
  EXPECT_EQ(list[0].device, nb::Device::cpu());
  EXPECT_FALSE(list[0].name.empty());
  EXPECT_EQ(list[0].features.back(), "scalar");
  EXPECT_GT(list[0].memory_bytes, 1u << 20);
}

}  // namespace
