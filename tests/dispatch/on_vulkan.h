#pragma once

#include <gtest/gtest.h>

#include "nibble/options.h"
#include "tests/support/wanted_device.h"

namespace nibble::tests {

/// Tests of what only devices do, on the one that NIBBLE_DEVICE names; tensors are made on the host unless a test says
/// otherwise.
class OnVulkan : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!wanted_device()) GTEST_SKIP() << "skipped: NIBBLE_DEVICE names no device";
  }
  static Device device() { return *wanted_device(); }
  static Options on_device() {
    Options o;
    o.device = device();
    return o;
  }
  /// Nothing may be computed elsewhere, or moved there.
  static Options only_there() {
    Options o = on_device();
    o.transfer = Transfer::error;
    return o;
  }

 private:
  const with on_host_{Options{}};
};

}  // namespace nibble::tests
