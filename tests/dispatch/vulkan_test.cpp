// What a device does that no operation shows: memory, staging, order, and what is said where there is none.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "nibble/error.h"
#include "nibble/ops.h"
#include "tests/dispatch/on_vulkan.h"

namespace nb = nibble;
using nb::Device;
using nb::Tensor;

namespace {

using Vulkan = nb::tests::OnVulkan;

TEST(VulkanAbsent, AskingForADeviceThatIsNotThereSaysWhatIs) {
  try {
    nb::zeros({1}).to(Device::vulkan(200));
    FAIL() << "did not throw";
  } catch (const nb::Error& e) {
    EXPECT_EQ(e.code(), nb::ErrorCode::unsupported);
    EXPECT_THAT(e.what(), testing::StartsWith("[device] vulkan:200: there is only the cpu"));
  }
}

TEST_F(Vulkan, BytesComeBackAsTheyWent) {
  for (const std::int64_t n : {1, 7, 4096, 3'000'001}) {
    const Tensor x = nb::random_normal({n}, 1);
    EXPECT_EQ(x.to(device()).to(Device::cpu()).to_vector<float>(), x.to_vector<float>()) << n;
  }
  const Tensor turned = nb::transpose(nb::random_normal({33, 65}, 2));
  EXPECT_EQ(turned.to(device()).to_vector<float>(), turned.to_vector<float>());
}

TEST_F(Vulkan, PackedWeightsMoveAsTheyAreStored) {
  const Tensor w = nb::quantize(nb::random_normal({40, 128}, 3), {.bits = 4, .group_size = 64});
  nb::reset_stats();
  const Tensor there = nb::slice(w, 0, 8, 24).to(device());
  EXPECT_EQ(nb::stats().bytes_moved, w.nbytes());
  EXPECT_TRUE(there.is_quantized());
  EXPECT_EQ(nb::dequantize(there).to_vector<float>(), nb::dequantize(nb::slice(w, 0, 8, 24)).to_vector<float>());
}

TEST_F(Vulkan, ABufferMayBeLargerThanABinding) {
  // 128 MiB is the most that some devices bind.
  const nb::with in_force(on_device());
  const std::int64_t n = (std::int64_t{160} << 20) + 5;
  const Tensor x = nb::arange(0, n, 1, nb::DType::u8);
  const Tensor end = nb::slice(x, 0, n - 3, n) + nb::tensor<std::uint8_t>({1, 1, 1}, {3});
  EXPECT_EQ(end.to_vector<std::uint8_t>(), (std::vector<std::uint8_t>{3, 4, 5}));
}

TEST_F(Vulkan, NoRoomIsAnErrorAfterWhichOthersHaveIt) {
  const nb::with in_force(on_device());
  try {
    nb::zeros({std::int64_t{1} << 40});
    FAIL() << "did not throw";
  } catch (const nb::Error& e) {
    EXPECT_EQ(e.code(), nb::ErrorCode::out_of_memory);
    EXPECT_THAT(e.what(), testing::HasSubstr("MiB"));
  }
  EXPECT_EQ(nb::ones({2}).to_vector<float>(), (std::vector<float>{1, 1}));
}

TEST_F(Vulkan, MemoryIsTakenAgainInOrder) {
  // Each round frees what the one before wrote, while commands that read it may not have run.
  const nb::with in_force(on_device());
  Tensor sum = nb::zeros({1000});
  for (int round = 0; round < 300; ++round) sum = sum + nb::full({1000}, round);
  EXPECT_THAT(sum.to_vector<float>(), testing::Each(300 * 299 / 2));
}

TEST_F(Vulkan, WritesWhileTheDeviceReads) {
  const nb::with in_force(on_device());
  std::vector<Tensor> results;
  for (float i = 0; i < 100; ++i) results.push_back(nb::tensor<float>({i, i + 1}, {2}) * 2);
  for (std::size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ(results[i].to_vector<float>(),
              (std::vector<float>{2.0f * static_cast<float>(i), 2.0f * static_cast<float>(i) + 2}));
  }
}

TEST_F(Vulkan, ThreadsShareADevice) {
  std::vector<std::thread> threads;
  std::vector<std::vector<float>> results(4);
  for (std::size_t t = 0; t < results.size(); ++t) {
    threads.emplace_back([&results, t] {
      const nb::with in_force(on_device());
      Tensor x = nb::full({64}, static_cast<double>(t));
      for (int i = 0; i < 50; ++i) x = x + 1;
      results[t] = x.to_vector<float>();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t t = 0; t < results.size(); ++t) EXPECT_THAT(results[t], testing::Each(static_cast<float>(t) + 50));
}

TEST_F(Vulkan, AnIndexOutOfRangeIsToldAtTheWaitAndItsRowIsZero) {
  const nb::with in_force(on_device());
  const Tensor x = nb::ones({3, 2});
  const Tensor taken = nb::take(x, nb::tensor<std::int32_t>({2, 5}, {2}));
  try {
    taken.to_vector<float>();
    FAIL() << "did not throw";
  } catch (const nb::Error& e) {
    EXPECT_EQ(std::string(e.what()), "[take] x f32 (3, 2): index 5 of 3 entries");
  }
  EXPECT_EQ(taken.to_vector<float>(), (std::vector<float>{1, 1, 0, 0}));
}

TEST_F(Vulkan, WhatHasNoKernelIsCountedOrRefused) {
  const nb::with in_force(on_device());
  const auto thirds = [] { return nb::arange(0, 1, 1.0 / 3, nb::DType::f64); };  // devices need no doubles
  nb::reset_stats();
  EXPECT_EQ(thirds().to_vector<double>(), (std::vector<double>{0, 1.0 / 3, 2.0 / 3}));
  EXPECT_EQ(nb::stats().ops_cpu, 1u);
  EXPECT_GT(nb::stats().bytes_moved, 0u);
  const nb::with no_transfers(only_there());
  EXPECT_THROW(thirds(), nb::Error);
  nb::reset_stats();
  EXPECT_EQ((nb::tensor<float>({3, 1, 2}, {3}) * 2).to_vector<float>(), (std::vector<float>{6, 2, 4}));
  EXPECT_EQ(nb::stats().ops_cpu, 0u);
}

TEST_F(Vulkan, ActivationsOnTwoDevicesAreRefused) {
  EXPECT_THROW(nb::ones({2}) + nb::ones({2}).to(device()), nb::Error);
}

}  // namespace
