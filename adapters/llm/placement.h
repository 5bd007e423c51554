#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nibble/device.h"

namespace nibble {
inline namespace v0 {
namespace llm {

/// A device, and how many bytes it has room for.
struct Room {
  Device device;
  std::uint64_t bytes = 0;
};

/// Where each layer of so many bytes goes: to the first device as long as three quarters of its room last, then to the
/// next, and to the CPU what none has room for. The rest of the room is for the cache and for activations.
std::vector<Device> place_by_room(std::span<const std::uint64_t> layer_bytes, std::span<const Room> rooms);

}  // namespace llm
}  // namespace v0
}  // namespace nibble
