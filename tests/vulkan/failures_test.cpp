// What drivers answer in bad moments, put into the mouth of a device of the test's own.
#include <gmock/gmock.h>

#include "backend/common/backend.h"
#include "backend/vulkan/vulkan_backend.h"
#include "nibble/error.h"
#include "nibble/ops.h"
#include "tests/vulkan/adopted_device.h"

namespace nibble::tests {
namespace {

using testing::HasSubstr;

int refusals = 0;  // allocations that fail from now on
PFN_vkAllocateMemory allocate_really = nullptr;
VkResult allocate_or_refuse(VkDevice device, const VkMemoryAllocateInfo* info, const VkAllocationCallbacks* callbacks,
                            VkDeviceMemory* memory) {
  if (refusals > 0) {
    --refusals;
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  }
  return allocate_really(device, info, callbacks, memory);
}
PFN_vkQueueSubmit submit_really = nullptr;
VkResult refuse_once(VkQueue queue, std::uint32_t count, const VkSubmitInfo* infos, VkFence fence) {
  if (refusals > 0) {
    --refusals;
    return VK_ERROR_OUT_OF_HOST_MEMORY;
  }
  return submit_really(queue, count, infos, fence);
}
VkResult lose_at_submission(VkQueue, std::uint32_t, const VkSubmitInfo*, VkFence) { return VK_ERROR_DEVICE_LOST; }
VkResult lose_at_wait(VkDevice, const VkSemaphoreWaitInfo*, std::uint64_t) { return VK_ERROR_DEVICE_LOST; }

class Failures : public AdoptedDevice {
 protected:
  VolkDeviceTable& functions() const {
    auto& backend = static_cast<detail::vulkan::VulkanBackend&>(detail::vulkan_backend(device_.index));
    return backend.context().gpu().functions();
  }
  template <class Do>
  void expect_error(ErrorCode code, const std::string& text, Do what) {
    try {
      what();
      ADD_FAILURE() << "did not throw: " << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), code);
      EXPECT_THAT(e.what(), HasSubstr(text));
    }
  }
};

TEST_F(Failures, OutOfMemoryNamesSizesAndPasses) {
  const with in_force(there());
  const Tensor x = ones({1000});
  allocate_really = std::exchange(functions().vkAllocateMemory, allocate_or_refuse);
  refusals = 1;  // what is free is given back, and the second try succeeds
  EXPECT_EQ(zeros({20 << 20}).numel(), 20 << 20);
  refusals = 2;
  expect_error(ErrorCode::out_of_memory, "[allocate] 120.0 MiB on ", [] { zeros({30 << 20}); });
  EXPECT_THAT((x + 1).to_vector<float>(), testing::Each(2));
}

TEST_F(Failures, WhatNoBufferHoldsIsOutOfMemory) {
  auto& backend = static_cast<detail::vulkan::VulkanBackend&>(detail::vulkan_backend(device_.index));
  auto& features = const_cast<detail::vulkan::Features&>(backend.context().found().features);
  features.largest_buffer = std::uint64_t{64} << 20;
  const with in_force(there());
  EXPECT_EQ(zeros({15 << 20}).numel(), 15 << 20);
  expect_error(ErrorCode::out_of_memory, "no buffer there is larger than 64.0 MiB", [] { zeros({20 << 20}); });
}

TEST_F(Failures, ABatchThatIsRefusedIsSubmittedAgain) {
  const with in_force(there());
  const Tensor x = ones({1000}), y = x + 1;
  submit_really = std::exchange(functions().vkQueueSubmit, refuse_once);
  refusals = 2;
  expect_error(ErrorCode::out_of_memory, "submitting", [&] { y.to_vector<float>(); });
  expect_error(ErrorCode::out_of_memory, "submitting", [&] { x + 2; });  // which nothing is lost of
  EXPECT_THAT((y + 3).to_vector<float>(), testing::Each(5));
}

TEST_F(Failures, ADeviceThatIsLostStaysSo) {
  {
    const with in_force(there());
    const Tensor x = ones({1000}), y = x + 1;
    functions().vkQueueSubmit = lose_at_submission;
    expect_error(ErrorCode::device_lost, "lost", [&] { y.to_vector<float>(); });
    expect_error(ErrorCode::device_lost, "lost", [&] { x + 1; });
    expect_error(ErrorCode::device_lost, "lost", [&] { y.to_vector<float>(); });
  }
  const with here(Options{});
  EXPECT_THAT((ones({3}) + 1).to_vector<float>(), testing::Each(2));
  EXPECT_THAT((ones({3}).to(Device::vulkan(0)) + 1).to_vector<float>(), testing::Each(2));
}

TEST_F(Failures, ALossIsSeenByThoseWhoWait) {
  const with in_force(there());
  const VkSemaphore never = host_->make_timeline();
  {
    const Tensor x = ones({1000});
    wait_for_semaphore(device_, never, 1);
    const Tensor y = x + 1;
    functions().vkWaitSemaphores = lose_at_wait;
    expect_error(ErrorCode::device_lost, "lost", [&] { y.to_vector<float>(); });
    expect_error(ErrorCode::device_lost, "lost", [&] { x + 1; });
  }
  VkSemaphoreSignalInfo go{};
  go.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO;
  go.semaphore = never;
  go.value = 1;
  host_->call().vkSignalSemaphore(host_->device(), &go);
  host_->call().vkDeviceWaitIdle(host_->device());
  host_->call().vkDestroySemaphore(host_->device(), never, nullptr);
}

}  // namespace
}  // namespace nibble::tests
