#include "adapters/llm/placement.h"

namespace nibble {
inline namespace v0 {
namespace llm {

std::vector<Device> place_by_room(std::span<const std::uint64_t> layer_bytes, std::span<const Room> rooms) {
  std::vector<Device> places;
  for (const Room& room : rooms) {
    std::uint64_t left = room.bytes / 4 * 3;
    while (places.size() < layer_bytes.size() && left >= layer_bytes[places.size()]) {
      left -= layer_bytes[places.size()];
      places.push_back(room.device);
    }
  }
  places.resize(layer_bytes.size(), Device::cpu());
  return places;
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
