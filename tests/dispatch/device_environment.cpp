// NIBBLE_DEVICE=vulkan:0 runs the tests of this room on that device: tensors are made there unless a test says
// otherwise.

#include <gtest/gtest.h>

#include <cstdlib>

#include "nibble/options.h"

namespace {

class OnDevice : public testing::Environment {
 public:
  void SetUp() override {
    if (const char* name = std::getenv("NIBBLE_DEVICE")) nibble::set_default_device(nibble::Device::parse(name));
  }
};

const testing::Environment* const on_device = testing::AddGlobalTestEnvironment(new OnDevice);

}  // namespace
