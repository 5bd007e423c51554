#include "backend/vulkan/staging.h"

#include <algorithm>
#include <cstring>

namespace nibble::inline v0::detail::vulkan {
namespace {

constexpr std::uint64_t kHalf = std::uint64_t{4} << 20;
constexpr std::uint64_t kAlignment = 16;

}  // namespace

Staging::Staging(Memory& memory, Commands& commands)
    : commands_(commands), region_(memory.allocate(2 * kHalf, Memory::Kind::host)) {}

Access Staging::room(std::uint64_t bytes) {
  if (at_ == kHalf) {
    busy_[half_] = region_.used;
    half_ ^= 1;
    at_ = 0;
    commands_.wait(busy_[half_]);
  }
  const std::uint64_t begin = half_ * kHalf + at_, taken = std::min(bytes, kHalf - at_);
  at_ = std::min(at_ + (taken + kAlignment - 1) / kAlignment * kAlignment, kHalf);
  return {&region_, region_.address() + begin, region_.address() + begin + taken};
}

void Staging::upload(const std::byte* data, Access to) {
  while (to.begin < to.end) {
    const Access from = room(to.end - to.begin);
    const std::uint64_t bytes = from.end - from.begin;
    std::memcpy(region_.mapped() + (from.begin - region_.address()), data, bytes);
    commands_.copy(from, {to.region, to.begin, to.begin + bytes});
    data += bytes;
    to.begin += bytes;
  }
}

void Staging::download(Access from, std::byte* out) {
  while (from.begin < from.end) {
    const Access to = room(from.end - from.begin);
    const std::uint64_t bytes = to.end - to.begin;
    commands_.copy({from.region, from.begin, from.begin + bytes}, to);
    commands_.wait(region_.written);
    std::memcpy(out, region_.mapped() + (to.begin - region_.address()), bytes);
    out += bytes;
    from.begin += bytes;
  }
}

}  // namespace nibble::inline v0::detail::vulkan
