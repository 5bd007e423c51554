// Devices of narrower limits than the one at hand: results are the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "backend/common/backend.h"
#include "backend/vulkan/vulkan_backend.h"
#include "nibble/ops.h"
#include "nibble/options.h"
#include "nibble/quantization.h"
#include "tests/support/wanted_device.h"

namespace nibble::tests {
namespace {

PFN_vkCmdDispatch dispatch_really = nullptr;
std::uint32_t most_in_a_dimension = 0, most_in_all = 0;
void dispatch_and_see(VkCommandBuffer commands, std::uint32_t x, std::uint32_t y, std::uint32_t z) {
  most_in_a_dimension = std::max({most_in_a_dimension, x, y});
  most_in_all = std::max(most_in_all, x * y);
  dispatch_really(commands, x, y, z);
}

class NarrowLimits : public OnWantedDevice {
 protected:
  void SetUp() override {
    OnWantedDevice::SetUp();
    if (IsSkipped()) return;
    whole_ = features();
    dispatch_really = std::exchange(context().gpu().functions().vkCmdDispatch, dispatch_and_see);
  }
  void TearDown() override {
    if (IsSkipped()) return;
    features() = whole_;
    context().gpu().functions().vkCmdDispatch = dispatch_really;
  }
  detail::Backend& backend() const { return detail::vulkan_backend(device_.index); }
  detail::vulkan::Context& context() const { return static_cast<detail::vulkan::VulkanBackend&>(backend()).context(); }
  detail::vulkan::Features& features() const {
    return const_cast<detail::vulkan::Features&>(context().found().features);
  }
  /// What `run` gives, the same where it takes two dimensions to have as many workgroups.
  void expect_same(const std::function<Tensor()>& run) {
    most_in_all = 0;
    const std::vector<float> want = run().to_vector<float>();
    const auto most_workgroups = static_cast<std::uint32_t>(std::ceil(std::sqrt(most_in_all)));
    EXPECT_GT(most_workgroups, 1u);
    features().most_workgroups = most_workgroups;
    most_in_a_dimension = 0;
    EXPECT_EQ(run().to_vector<float>(), want);
    EXPECT_LE(most_in_a_dimension, most_workgroups);
    features() = whole_;
  }

 private:
  detail::vulkan::Features whole_;
};

TEST_F(NarrowLimits, WorkgroupsOfProductsContinueInASecondDimension) {
  const Tensor w = quantize(random_normal({301, 576}, 1), {.bits = 4, .group_size = 64}).to(device_);
  for (const detail::MatmulKernel& kernel : backend().matmul_kernels()) {
    if (kernel.name == "host") continue;
    SCOPED_TRACE(kernel.name);
    const bool along = !kernel.name.starts_with("across");
    for (const std::int64_t rows : {7, 70}) {
      const Tensor x = random_normal({rows, along ? 576 : 301}, 2).to(device_);
      expect_same([&] {
        const Tensor y = backend().allocate({rows, along ? 301 : 576}, DType::f32);
        backend().fill(y, -7);
        kernel.run({x, w, y, along ? detail::Orientation::along : detail::Orientation::across, kernel.precision});
        return y;
      });
    }
  }
}

TEST_F(NarrowLimits, SoDoThoseOfPlainOperations) {
  const Tensor x = random_normal({150, 100}, 1).to(device_);
  expect_same([&] { return exp(x) * x; });
  expect_same([&] { return softmax(x); });
  expect_same([&] { return sort(x); });
}

}  // namespace
}  // namespace nibble::tests
