// A program's own device, and two devices at once.
#include <gmock/gmock.h>

#include <thread>

#include "nibble/error.h"
#include "nibble/ops.h"
#include "nibble/transfer.h"
#include "tests/vulkan/adopted_device.h"

namespace nibble::tests {
namespace {

using testing::Each;

TEST_F(AdoptedDevice, Computes) {
  const std::vector<DeviceInfo> all = devices();
  EXPECT_TRUE(std::any_of(all.begin(), all.end(), [&](const DeviceInfo& info) { return info.device == device_; }));
  const with in_force(there());
  const Tensor w = quantize(random_normal({32, 64}, 1)), x = random_normal({3, 64}, 2);
  const Tensor y = matmul(x, transpose(w));
  EXPECT_EQ(y.device(), device_);
  EXPECT_GT(operations(device_), 0u);
  const with here(Options{});
  const std::vector<float> want = matmul(x.to(Device::cpu()), transpose(w.to(Device::cpu()))).to_vector<float>();
  EXPECT_THAT(y.to_vector<float>(), testing::Pointwise(testing::FloatNear(1e-3f), want));
}

TEST_F(AdoptedDevice, RunsInOrderWithTheHostsTimeline) {
  const VkSemaphore timeline = host_->make_timeline();
  {
    const with in_force(there());
    const Tensor x = ones({1000});
    wait_for_semaphore(device_, timeline, 1);
    const Tensor y = x + 1;
    signal_semaphore(device_, timeline, 2);
    std::uint64_t now = 0;
    host_->call().vkGetSemaphoreCounterValue(host_->device(), timeline, &now);
    EXPECT_EQ(now, 0u);

    VkSemaphoreSignalInfo go{};
    go.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO;
    go.semaphore = timeline;
    go.value = 1;
    host_->call().vkSignalSemaphore(host_->device(), &go);
    const std::uint64_t done = 2;
    VkSemaphoreWaitInfo wait{};
    wait.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO;
    wait.semaphoreCount = 1;
    wait.pSemaphores = &timeline;
    wait.pValues = &done;
    EXPECT_EQ(host_->call().vkWaitSemaphores(host_->device(), &wait, 10'000'000'000), VK_SUCCESS);
    EXPECT_THAT(y.to_vector<float>(), Each(2));
    const VulkanBuffer buffer = vulkan_buffer(y);
    EXPECT_NE(buffer.buffer, nullptr);
    EXPECT_EQ(buffer.bytes, 4000u);
  }
  host_->call().vkDestroySemaphore(host_->device(), timeline, nullptr);
}

TEST_F(AdoptedDevice, StaysWhileTensorsLiveOnIt) {
  {
    const with in_force(there());
    const Tensor x = ones({3});
    EXPECT_THROW(release_vulkan_device(device_), Error);
  }
  EXPECT_THROW(release_vulkan_device(Device::vulkan(0)), Error);  // nibble's own
  EXPECT_THROW(adopt_vulkan_device({}), Error);
}

TEST_F(AdoptedDevice, TwoDevicesComputeAtOnce) {
  const Device devices[] = {Device::vulkan(0), device_};
  std::vector<std::vector<float>> results(4);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < results.size(); ++t) {
    threads.emplace_back([&, t] {
      Options o;
      o.device = devices[t % 2];
      const with in_force(o);
      Tensor x = full({100}, static_cast<double>(t));
      for (int i = 0; i < 30; ++i) x = x + 1;
      results[t] = x.to_vector<float>();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t t = 0; t < results.size(); ++t) EXPECT_THAT(results[t], Each(static_cast<float>(t) + 30));
  const Tensor a = ones({2}).to(devices[0]), b = ones({2}).to(devices[1]);
  EXPECT_EQ(a.to(devices[1]).to_vector<float>(), b.to_vector<float>());
  try {
    a + b;
    FAIL() << "did not throw";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::device_mismatch);
    EXPECT_THAT(e.what(), testing::AllOf(testing::HasSubstr("vulkan:0"), testing::HasSubstr(to_string(device_))));
  }
}

}  // namespace
}  // namespace nibble::tests
