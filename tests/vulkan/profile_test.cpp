#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "nibble/error.h"
#include "nibble/ops.h"
#include "nibble/options.h"
#include "nibble/vulkan.h"
#include "tests/support/wanted_device.h"

namespace nibble::tests {
namespace {

class Profiles : public OnWantedDevice {
 protected:
  void SetUp() override {
    OnWantedDevice::SetUp();
    options_.device = device_;
  }
  Options options_;
};

TEST_F(Profiles, CountEveryRunOfAKernel) {
  const with there(options_);
  Tensor x = ones({1000});
  const auto times = profile(options_.device, [&] {
    for (int i = 0; i < 300; ++i) x = x + 1;
  });
  const auto sums = std::ranges::find(times, "binary", &KernelTime::kernel);
  ASSERT_NE(sums, times.end());
  EXPECT_EQ(sums->runs, 300);
  EXPECT_GT(sums->seconds, 0);
  EXPECT_TRUE(std::ranges::is_sorted(times, std::greater<>(), &KernelTime::seconds));
  EXPECT_EQ(x.to_vector<float>(), std::vector<float>(1000, 301));
  EXPECT_TRUE(profile(options_.device, [] {}).empty());
}

TEST_F(Profiles, EndWithTheWork) {
  const with there(options_);
  EXPECT_THROW(profile(options_.device, [] { throw 1; }), int);
  EXPECT_EQ((ones({2}) + 1).to_vector<float>(), (std::vector<float>{2, 2}));
}

TEST(ProfileAbsent, TheCpuHasNoClockOfItsOwn) {
  EXPECT_THROW(profile(Device::cpu(), [] {}), Error);
}

}  // namespace
}  // namespace nibble::tests
