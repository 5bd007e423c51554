// The tensor itself: shapes, layouts, storage and who owns it, what it says of itself and what it refuses.
#include "nibble/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <array>
#include <cstring>
#include <thread>

#include "nibble/error.h"
#include "nibble/ops.h"
#include "quant_tensor/tensor/allocator.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble_test {
namespace {

namespace nb = nibble;
using nb::DType;
using nb::ErrorCode;
using nb::Shape;
using nb::Tensor;
using testing::ElementsAre;
using testing::HasSubstr;

template <class Call>
void expect_error(ErrorCode code, const std::string& text, Call call) {
  try {
    call();
    ADD_FAILURE() << "no Error; wanted: " << text;
  } catch (const nb::Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(text));
  }
}

// ---- shapes --------------------------------------------------------------------------------------------------------

TEST(Shape, HoldsEightSizesAndNoMore) {
  Shape shape{1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(shape.numel(), 40320);
  expect_error(ErrorCode::invalid_argument, "[shape] 9 axes: a tensor has at most 8", [&] { shape.push_back(9); });
  expect_error(ErrorCode::invalid_argument, "9 axes", [&] { shape.insert(0, 9); });
  expect_error(ErrorCode::invalid_argument, "9 axes", [] { Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}; });
  expect_error(ErrorCode::invalid_argument, "9 axes", [] { Shape::filled(9, 1); });
  EXPECT_EQ(shape.rank(), 8);
}

TEST(Shape, TakesSizesInAndOutInPlace) {
  Shape shape{2, 4};
  shape.insert(1, 3);
  shape.insert(0, 1);
  shape.push_back(5);
  EXPECT_THAT(std::vector<std::int64_t>(shape.begin(), shape.end()), ElementsAre(1, 2, 3, 4, 5));
  shape.erase(4);
  shape.erase(0);
  EXPECT_EQ(shape, (Shape{2, 3, 4}));
  EXPECT_FALSE(shape == (Shape{2, 3}));
  EXPECT_FALSE((Shape{2, 3}) == shape);
}

TEST(Shape, CountsElementsWithoutOverflow) {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max(), half = std::int64_t{1} << 32;
  EXPECT_EQ(Shape{}.numel(), 1);
  EXPECT_EQ((Shape{3, 0, 5}).numel(), 0);
  EXPECT_EQ((Shape{half, half}).numel(), most);
  EXPECT_EQ((Shape{half, half, 4}).numel(), most);
  EXPECT_EQ((Shape{half, half, 0}).numel(), 0);
  EXPECT_EQ((Shape{0, half, half}).numel(), 0);
}

TEST(Shape, IsWrittenAsPythonDoes) {
  EXPECT_EQ(nb::to_string(Shape{}), "()");
  EXPECT_EQ(nb::to_string(Shape{5}), "(5,)");
  EXPECT_EQ(nb::to_string(Shape{3, 64}), "(3, 64)");
}

// ---- sizes from anywhere -------------------------------------------------------------------------------------------

TEST(NewTensor, RefusesWhatNoMemoryHolds) {
  const std::int64_t huge = std::int64_t{1} << 62;
  expect_error(ErrorCode::invalid_argument, "negative size", [] { nb::empty({3, -1}); });
  expect_error(ErrorCode::invalid_argument, "negative size", [] { nb::empty({0, -1}); });
  for (const Shape& shape :
       {Shape{huge}, Shape{huge, 4}, Shape{std::int64_t{1} << 32, std::int64_t{1} << 32}, Shape{0, huge, huge}}) {
    SCOPED_TRACE(nb::to_string(shape));
    expect_error(ErrorCode::out_of_memory, nb::to_string(shape), [&] { nb::empty(shape); });
    expect_error(ErrorCode::out_of_memory, nb::to_string(shape),
                 [&] { nb::from_borrowed(nullptr, nullptr, shape, DType::f32); });
  }
  expect_error(ErrorCode::invalid_argument, "negative size",
               [] { nb::from_borrowed(nullptr, nullptr, {-4}, DType::u8); });
}

TEST(NewTensor, MayBeEmpty) {
  const Tensor none = nb::from_data(nullptr, {0, 7}, DType::f32);
  EXPECT_EQ(none.numel(), 0);
  EXPECT_EQ(none.nbytes(), 0u);
  EXPECT_TRUE(none.is_contiguous());
  EXPECT_TRUE(none.to_vector<float>().empty());
  EXPECT_EQ(nb::from_borrowed(nullptr, nullptr, {3, 0}, DType::f64).numel(), 0);
}

TEST(NewTensor, OfNoAxesHoldsOneNumber) {
  const Tensor one = nb::tensor<std::int64_t>({-5}, {});
  EXPECT_EQ(one.ndim(), 0);
  EXPECT_EQ(one.item<std::int64_t>(), -5);
  EXPECT_THAT(one.to_vector<std::int64_t>(), ElementsAre(-5));
}

// ---- borrowed memory -----------------------------------------------------------------------------------------------

TEST(BorrowedTensor, KeepsItsOwnerAsLongAsAnyViewLives) {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3, 4, 5, 6});
  const std::weak_ptr<std::vector<float>> watch = owner;
  Tensor t = nb::from_borrowed(owner, owner->data(), {2, 3}, DType::f32);
  EXPECT_EQ(t.data<float>(), owner->data());
  owner.reset();
  Tensor view = nb::slice(t, 1, 1, 3);
  t = Tensor();
  ASSERT_FALSE(watch.expired());
  EXPECT_THAT(view.to_vector<float>(), ElementsAre(2, 3, 5, 6));
  view = Tensor();
  EXPECT_TRUE(watch.expired());
}

TEST(BorrowedTensor, MayLieAtAnyAddress) {
  auto owner = std::make_shared<std::array<double, 8>>();
  const std::array<double, 2> values{1.5, -2.5};
  std::byte* place = reinterpret_cast<std::byte*>(owner->data()) + 1;
  std::memcpy(place, values.data(), sizeof values);
  const Tensor t = nb::from_borrowed(owner, place, {2}, DType::f64);
  EXPECT_EQ(t.raw_data(), place);
  EXPECT_THAT(t.to_vector<double>(), ElementsAre(1.5, -2.5));
  expect_error(ErrorCode::unsupported, "not aligned", [&] { t.data<double>(); });
  EXPECT_EQ(nb::contiguous(t).data<double>()[1], -2.5);
}

TEST(BorrowedTensor, IsNeverWrittenTo) {
  auto owner = std::make_shared<std::vector<float>>(4, 1.f);
  Tensor t = nb::from_borrowed(owner, owner->data(), {4}, DType::f32);
  t = nb::update_slice(std::move(t), nb::tensor<float>({7}, {1}), 2, 0);
  EXPECT_THAT(t.to_vector<float>(), ElementsAre(1, 1, 7, 1));
  EXPECT_THAT(*owner, ElementsAre(1, 1, 1, 1));
}

// ---- reading -------------------------------------------------------------------------------------------------------

TEST(Reading, GivesRowMajorOrderFromAnyLayout) {
  const Tensor x = nb::reshape(nb::arange(0, 24, 1, DType::i32), {2, 3, 4});
  const Tensor view =
      nb::flip(nb::slice(nb::transpose(x, {2, 0, 1}), 0, 1, 4, 2), {2});  // (2, 2, 3): columns 1 and 3, rows backwards
  std::vector<std::int32_t> expected;
  for (const int k : {1, 3}) {
    for (const int i : {0, 1}) {
      for (const int j : {2, 1, 0}) expected.push_back(12 * i + 4 * j + k);
    }
  }
  EXPECT_EQ(view.to_vector<std::int32_t>(), expected);
  EXPECT_FALSE(view.is_contiguous());
  EXPECT_THAT(nb::broadcast_to(nb::tensor<float>({1, 2}, {2, 1}), {2, 3}).to_vector<float>(),
              ElementsAre(1, 1, 1, 2, 2, 2));
}

TEST(Reading, OfBooleans) {
  EXPECT_THAT(nb::tensor<bool>({true, false, true}, {3}).to_vector<bool>(), ElementsAre(true, false, true));
}

TEST(Reading, OfAPackedTensorRoundsItsFloatDecodeToTheLogicalDtype) {
  const Tensor packed = nb::quantize(nb::random_normal({3, 64}, 1, 0, 1, DType::bf16), {.bits = 4, .group_size = 32});
  ASSERT_EQ(packed.dtype(), DType::bf16);
  const std::vector<float> decoded = nb::dequantize(packed, DType::f32).to_vector<float>();
  const std::vector<nb::bfloat16> got = packed.to_vector<nb::bfloat16>();
  ASSERT_EQ(got.size(), decoded.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i].bits, nb::bfloat16(decoded[i]).bits) << i;

  const std::vector<nb::bfloat16> turned = nb::transpose(packed).to_vector<nb::bfloat16>();
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(turned[i % 64 * 3 + i / 64].bits, got[i].bits) << i;
}

TEST(Reading, RefusesWhatWouldNotBeTheTensorsNumbers) {
  const Tensor x = nb::zeros({2, 3});
  expect_error(ErrorCode::dtype_mismatch, "[read] f32 (2, 3) read as i32", [&] { x.to_vector<std::int32_t>(); });
  expect_error(ErrorCode::dtype_mismatch, "read as f16", [&] { x.data<nb::float16>(); });
  expect_error(ErrorCode::shape_mismatch, "[item] f32 (2, 3): has 6 elements", [&] { x.item<float>(); });
  expect_error(ErrorCode::unsupported, "contiguous", [&] { nb::transpose(x).data<float>(); });
  const Tensor packed = nb::quantize(nb::zeros({2, 64}));
  expect_error(ErrorCode::unsupported, "affine4-g64 (2, 64)", [&] { packed.data<float>(); });
  EXPECT_FALSE(packed.is_contiguous());
}

TEST(UndefinedTensor, SaysSo) {
  const Tensor none;
  EXPECT_FALSE(none.defined());
  EXPECT_FALSE(none.is_quantized());
  EXPECT_EQ(none.packing(), nullptr);
  EXPECT_EQ(nb::describe(none), "undefined");
  for (const auto& use : std::initializer_list<void (*)(const Tensor&)>{
           [](const Tensor& t) { t.shape(); }, [](const Tensor& t) { t.dtype(); }, [](const Tensor& t) { t.device(); },
           [](const Tensor& t) { t.nbytes(); }, [](const Tensor& t) { t.raw_data(); },
           [](const Tensor& t) { t.is_contiguous(); }, [](const Tensor& t) { t.to_vector<float>(); }}) {
    expect_error(ErrorCode::invalid_argument, "undefined tensor", [&] { use(none); });
  }
}

TEST(Axes, CountFromEitherEnd) {
  const Tensor x = nb::zeros({2, 3, 5});
  EXPECT_EQ(x.size(0), 2);
  EXPECT_EQ(x.size(-1), 5);
  EXPECT_EQ(x.size(-3), 2);
  expect_error(ErrorCode::invalid_argument, "axis 3 of a tensor of 3 axes", [&] { x.size(3); });
  expect_error(ErrorCode::invalid_argument, "axis -4", [&] { x.size(-4); });
}

TEST(Description, ShowsAPackedWeightAsItIsStored) {
  EXPECT_EQ(nb::describe(nb::zeros({3, 64}, DType::bf16)), "bf16 (3, 64)");
  EXPECT_EQ(nb::describe(nb::zeros({})), "f32 ()");
  const Tensor packed = nb::quantize(nb::zeros({5, 128, 64}));
  EXPECT_EQ(nb::describe(packed), "affine4-g64 (5, 128, 64)");
  EXPECT_EQ(nb::describe(nb::swapaxes(packed, 1, 2)), "affine4-g64 (5, 128, 64)ᵀ");
  EXPECT_EQ(nb::describe(nb::transpose(packed)), "affine4-g64 (64, 128, 5) packed along axis 0");
}

TEST(Device, IsReadAsItIsWritten) {
  for (const char* text : {"cpu", "vulkan:0", "vulkan:255"}) EXPECT_EQ(nb::to_string(nb::Device::parse(text)), text);
  EXPECT_EQ(nb::to_string(nb::Device::parse("vulkan")), "vulkan:0");
  for (const char* wrong :
       {"", "CPU", "cpu:0", "vulkan:", "vulkan:256", "vulkan:-1", "vulkan:1x", "vulkan1", "vulkan 1", "cuda"}) {
    expect_error(ErrorCode::invalid_argument, "a device is cpu or vulkan:N", [&] { nb::Device::parse(wrong); });
  }
}

// ---- memory --------------------------------------------------------------------------------------------------------

/// Sizes around every boundary of the size classes, up to past the largest block that is kept.
std::vector<std::size_t> sizes() {
  std::vector<std::size_t> out{0, 1, 63};
  for (std::size_t power = 64; power <= (std::size_t{64} << 20); power *= 2) {
    for (std::size_t quarter = 0; quarter < 4; ++quarter) {
      const std::size_t size = power + power / 4 * quarter;
      out.insert(out.end(), {size - 1, size, size + 1});
    }
  }
  return out;
}

TEST(Allocator, GivesAlignedBlocksThatAreLargeEnoughAlsoTheSecondTime) {
  for (const std::size_t size : sizes()) {
    void* first = nb::detail::allocate_cached(size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % 64, 0u) << size;
    EXPECT_GE(malloc_usable_size(first), size);
    nb::detail::free_cached(first, size);
  }
  // Blocks of other sizes of the same class come back now: each must hold what is asked for.
  for (std::size_t size : sizes()) {
    void* again = nb::detail::allocate_cached(size);
    EXPECT_GE(malloc_usable_size(again), size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(again) % 64, 0u) << size;
    nb::detail::free_cached(again, size);
  }
}

TEST(Allocator, GivesABlockAgainWhereItKeepsOne) {
  if (!nb::detail::kAllocatorCaches)
    GTEST_SKIP() << "skipped: no cache under AddressSanitizer, so that uses after free show";
  for (const std::size_t size : {std::size_t{100}, std::size_t{20000}, std::size_t{1} << 20}) {
    void* first = nb::detail::allocate_cached(size);
    nb::detail::free_cached(first, size);
    void* again = nb::detail::allocate_cached(size);
    EXPECT_EQ(again, first) << size;
    nb::detail::free_cached(again, size);
  }
}

TEST(Allocator, IsSharedByThreadsThatFreeEachOthersBlocks) {
  constexpr int kThreads = 4, kRounds = 300;
  std::array<std::vector<Tensor>, kThreads> made;
  const auto on_all = [](auto body) {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) threads.emplace_back(body, t);
    for (std::thread& thread : threads) thread.join();
  };
  const auto mark = [](int t, int round) { return 1000 * t + round; };
  on_all([&](int t) {
    for (int round = 0; round < kRounds; ++round) {
      const std::vector<std::int32_t> values(static_cast<std::size_t>(1 + round * 37 % 5000), mark(t, round));
      made[static_cast<std::size_t>(t)].push_back(
          nb::from_data<std::int32_t>(values, {static_cast<std::int64_t>(values.size())}));
      if (round % 3 == 0) made[static_cast<std::size_t>(t)][static_cast<std::size_t>(round / 2)] = Tensor();
    }
  });
  std::array<bool, kThreads> intact{};
  on_all([&](int t) {
    bool all = true;
    const int neighbour = (t + 1) % kThreads;
    auto& tensors = made[static_cast<std::size_t>(neighbour)];
    for (int round = 0; round < kRounds; ++round) {
      Tensor& x = tensors[static_cast<std::size_t>(round)];
      if (!x.defined()) continue;
      for (const std::int32_t v : x.to_vector<std::int32_t>()) all = all && v == mark(neighbour, round);
      x = Tensor();
    }
    intact[static_cast<std::size_t>(t)] = all;
  });
  EXPECT_THAT(intact, testing::Each(true));
}

TEST(Stats, CountLiveBytesAndTheirPeak) {
  const std::uint64_t before = nb::stats().bytes_allocated;
  {
    const Tensor x = nb::empty({1000, 1000});
    const Tensor view = nb::transpose(x);
    EXPECT_EQ(nb::stats().bytes_allocated - before, 4'000'000u);
    EXPECT_GE(nb::stats().peak_bytes_allocated, before + 4'000'000u);
  }
  EXPECT_EQ(nb::stats().bytes_allocated, before);
}

TEST(Error, CodesHaveTheirNames) {
  EXPECT_STREQ(nb::name(ErrorCode::invalid_argument), "invalid_argument");
  EXPECT_STREQ(nb::name(ErrorCode::device_lost), "device_lost");
}

}  // namespace
}  // namespace nibble_test
