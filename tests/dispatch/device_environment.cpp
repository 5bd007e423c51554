// NIBBLE_DEVICE=vulkan:0 runs the tests of this room on that device: tensors are made there unless a test says
// otherwise.

#include <gtest/gtest.h>

#include "nibble/options.h"
#include "tests/support/wanted_device.h"

namespace {

class OnDevice : public testing::Environment {
 public:
  void SetUp() override {
    if (const auto device = nibble::tests::wanted_device()) nibble::set_default_device(*device);
  }
  // Were it not so, tests would have run elsewhere than where they seem to.
  void TearDown() override {
    if (const auto device = nibble::tests::wanted_device()) {
      EXPECT_EQ(nibble::options().device, *device);
    }
  }
};

const testing::Environment* const on_device = testing::AddGlobalTestEnvironment(new OnDevice);

}  // namespace
