#include "adapters/llm/placement.h"

#include <gtest/gtest.h>

namespace nibble::tests {
namespace {

using llm::place_by_room;
using llm::Room;

TEST(Placement, FillsThreeQuartersOfEachDeviceAndLeavesTheRestToTheCpu) {
  const Device first = Device::vulkan(0), second = Device::vulkan(1), cpu = Device::cpu();
  const std::vector<std::uint64_t> layers{100, 100, 100, 100, 100};
  const std::vector<Room> rooms{{first, 268}, {second, 136}};  // three quarters: 201 and 102
  EXPECT_EQ(place_by_room(layers, rooms), (std::vector<Device>{first, first, second, cpu, cpu}));
  EXPECT_EQ(place_by_room(layers, std::span(rooms).first(1)), (std::vector<Device>{first, first, cpu, cpu, cpu}));
  EXPECT_EQ(place_by_room(layers, {}), std::vector<Device>(5, cpu));
  const std::vector<Room> narrow{{first, 100}, {second, 4000}};
  EXPECT_EQ(place_by_room(layers, narrow), std::vector<Device>(5, second));
  EXPECT_TRUE(place_by_room({}, rooms).empty());
}

}  // namespace
}  // namespace nibble::tests
