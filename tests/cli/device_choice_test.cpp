// Which device the program computes on, of lists that are made up: no device is needed.
#include "adapters/cli/device_choice.h"

#include <gtest/gtest.h>

#include "nibble/error.h"
#include "nibble/options.h"

namespace nibble::testing {
namespace {

const Device kCpu = Device::cpu(), kFirst = Device::vulkan(0), kSecond = Device::vulkan(1), kThird = Device::vulkan(2);

DeviceInfo one(Device device, const char* name, bool software = false) {
  DeviceInfo info;
  info.device = device;
  info.name = name;
  info.software = software;
  return info;
}
const DeviceInfo kProcessor = one(kCpu, "AMD EPYC");
const std::vector<DeviceInfo> kNoDevice{kProcessor}, kSoftware{kProcessor, one(kFirst, "llvmpipe (LLVM 15)", true)},
    kCards{kProcessor, one(kFirst, "Radeon RX 7600"), one(kSecond, "AMD Radeon Graphics"),
           one(kThird, "llvmpipe (LLVM 15)", true)};

void expect_refusal(const std::string& text, const std::vector<DeviceInfo>& all, const std::string& absence,
                    ErrorCode code, const std::string& says) {
  try {
    cli::find_device("--device", text, all, absence);
    ADD_FAILURE() << "did not throw: " << text;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code);
    EXPECT_EQ(e.what(), says);
  }
}

TEST(ChoiceOfDevices, TheProgramPrefersCardsAndTakesNoSoftwareUnasked) {
  EXPECT_EQ(cli::preferred_device(kNoDevice), kCpu);
  EXPECT_EQ(cli::preferred_device(kSoftware), kCpu);
  EXPECT_EQ(cli::preferred_device(kCards), kFirst);
  // Software that comes first, as in a program that handed it in, is passed over.
  const std::vector<DeviceInfo> late{kProcessor, one(kFirst, "llvmpipe", true), one(kSecond, "Radeon")};
  EXPECT_EQ(cli::preferred_device(late), kSecond);
}

TEST(ChoiceOfDevices, TheLibrarysDefaultIsTheCpu) { EXPECT_EQ(Options{}.device, kCpu); }

TEST(ChoiceOfDevices, SoftwareIsTakenByPlaceOrByName) {
  EXPECT_EQ(cli::find_device("--device", "vulkan:0", kSoftware, ""), kFirst);
  EXPECT_EQ(cli::find_device("--device", "vulkan", kSoftware, ""), kFirst);
  EXPECT_EQ(cli::find_device("--device", "LLVMpipe", kSoftware, ""), kFirst);
  EXPECT_EQ(cli::find_device("--device", "llvm", kCards, ""), kThird);
}

TEST(ChoiceOfDevices, APartOfANameIsEnoughAndTheFirstThatHasItIsTaken) {
  EXPECT_EQ(cli::find_device("--device", "radeon", kCards, ""), kFirst);
  EXPECT_EQ(cli::find_device("--device", "Graphics", kCards, ""), kSecond);
  EXPECT_EQ(cli::find_device("--device", "cpu", kCards, ""), kCpu);
}

TEST(ChoiceOfDevices, WhatIsNotThereIsRefusedWithWhatIs) {
  expect_refusal("vulkan:1", kSoftware, "", ErrorCode::unsupported,
                 "--device vulkan:1: no such device here; found cpu (AMD EPYC), vulkan:0 (llvmpipe (LLVM 15))");
  expect_refusal("vulkan:0", kNoDevice, "no Vulkan loader (libvulkan.so.1)", ErrorCode::unsupported,
                 "--device vulkan:0: no such device here; found cpu (AMD EPYC); no Vulkan loader (libvulkan.so.1)");
  // The processor's name is no device's: cpu means it.
  expect_refusal("EPYC", kSoftware, "", ErrorCode::invalid_argument,
                 "--device EPYC: no such device here; found cpu (AMD EPYC), vulkan:0 (llvmpipe (LLVM 15))");
}

}  // namespace
}  // namespace nibble::testing
