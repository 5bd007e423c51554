#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <string_view>

#include "nibble/device.h"

namespace nibble::tests {

/// The Vulkan device that NIBBLE_DEVICE names for tests ("vulkan" is the first one); none where it is unset, empty or
/// the CPU.
inline std::optional<Device> wanted_device() {
  const char* name = std::getenv("NIBBLE_DEVICE");
  if (!name || std::string_view(name).empty()) return std::nullopt;
  const Device device = Device::parse(name);
  return device == Device::cpu() ? std::nullopt : std::optional(device);
}

/// Tests of what only devices do, on that one.
class OnWantedDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!wanted_device()) GTEST_SKIP() << "skipped: NIBBLE_DEVICE names no device";
    device_ = *wanted_device();
  }
  Device device_;
};

}  // namespace nibble::tests
