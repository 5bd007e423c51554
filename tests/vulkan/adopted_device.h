#pragma once

#include <memory>

#include "nibble/options.h"
#include "tests/support/wanted_device.h"
#include "tests/vulkan/host_device.h"

namespace nibble::tests {

/// Tests on a device of the test's own that nibble was handed.
class AdoptedDevice : public testing::Test {
 protected:
  void SetUp() override {
    if (!wanted_device()) GTEST_SKIP() << "skipped: NIBBLE_DEVICE names no device";
    host_ = std::make_unique<HostDevice>();
    device_ = adopt_vulkan_device(host_->handles());
  }
  void TearDown() override {
    if (host_) release_vulkan_device(device_);
  }
  Options there() const {
    Options o;
    o.device = device_;
    return o;
  }

  std::unique_ptr<HostDevice> host_;
  Device device_;
};

}  // namespace nibble::tests
