// Commands on a device, where there is one.
#include "nibble/device.h"
#include "tests/cli/program.h"

namespace nibble::testing {
namespace {

const char* const kDevice = "vulkan:0";

class OnDevices : public ::testing::Test {
 protected:
  void SetUp() override {
    if (devices().size() < 2) GTEST_SKIP() << "skipped: there is no device";
  }
  static Json generated(std::vector<std::string> options) {
    options.insert(options.begin(),
                   {"generate", models() / "llama", "--prompt", "a", "--max-tokens", "4", "--ignore-eos"});
    return answer(options);
  }
};

TEST_F(OnDevices, LayersOverDevicesGiveTheTokensOfOne) {
  const Json here = generated({}), there = generated({"--device", kDevice}),
             spread = generated({"--layers", std::string(kDevice) + "=0,cpu=1"});
  EXPECT_EQ(there["token_ids"], here["token_ids"]);
  EXPECT_EQ(spread["token_ids"], here["token_ids"]);
  EXPECT_EQ(there["operations"]["cpu"], 0);
  for (const char* device : {"cpu", kDevice}) EXPECT_GT(spread["operations"][device].get<int>(), 0) << device;
  EXPECT_GT(spread["moved_bytes"].get<int>(), 0);
  EXPECT_EQ(generated({"--layers", "auto"})["token_ids"], here["token_ids"]);
}

TEST_F(OnDevices, AreTakenByNameAndSoftwareOnlyThen) {
  const DeviceInfo first = devices()[1];
  const Json named = generated({"--device", first.name})["operations"], unasked = generated({})["operations"];
  EXPECT_EQ(named["cpu"], 0);
  EXPECT_GT(named[to_string(first.device)].get<int>(), 0);
  EXPECT_EQ(unasked.contains(to_string(first.device)), !first.software) << unasked;
}

TEST_F(OnDevices, TellWhatMemoryTheyHave) {
  for (const Json& row : answer({"devices"})["devices"]) {
    if (row["device"] == "cpu") continue;
    EXPECT_GT(row["free_bytes"].get<std::uint64_t>(), 0u) << row;
    EXPECT_LE(row["free_bytes"].get<std::uint64_t>(), row["memory_bytes"].get<std::uint64_t>()) << row;
  }
}

TEST_F(OnDevices, LayersThatHaveNoPlaceOrTwoAreRefused) {
  const std::string model = models() / "llama";
  const std::pair<std::string, std::string> cases[] = {{"vulkan:0=0", "layer 1 has no place"},
                                                       {"vulkan:0=0-1,cpu=1", "layer 1 has two places"},
                                                       {"cpu=0-7", "layers 0 to 1"},
                                                       {"vulkan:0", "names a device and its layers"}};
  for (const auto& [layers, part] : cases) {
    expect_failure({"generate", model, "--prompt", "a", "--layers", layers}, "invalid_argument", part);
  }
  expect_failure({"generate", model, "--prompt", "a", "--layers", "vulkan:200=0-1"}, "unsupported", "no such device");
}

TEST_F(OnDevices, AProfileAddsUpWhatKernelsTake) {
  const Json result = answer({"bench", "model", models() / "llama", "--device", kDevice, "--profile", "--seconds", "0",
                              "--prompt-lengths", "2", "--gen-lengths", "1"});
  EXPECT_EQ(result["results"][0]["device"], kDevice);
  double all = 0;
  for (const Json& row : result["profile"]) {
    EXPECT_GT(row["runs"].get<int>(), 0) << row;
    EXPECT_GT(row["time_us"].get<double>(), 0) << row;
    all += row["share"].get<double>();
  }
  EXPECT_NEAR(all, 1, 1e-6);
}

}  // namespace
}  // namespace nibble::testing
