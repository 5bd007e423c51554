#include "nibble/device.h"

#include <fmt/format.h>

#include <charconv>

#include "nibble/error.h"

namespace nibble {
inline namespace v0 {

Device Device::parse(std::string_view text) {
  if (text == "cpu") return cpu();
  constexpr std::string_view kVulkan = "vulkan";
  if (text.starts_with(kVulkan)) {
    std::string_view rest = text.substr(kVulkan.size());
    if (rest.empty()) return {DeviceType::vulkan, 0};
    rest.remove_prefix(1);
    unsigned index = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), index);
    if (text[kVulkan.size()] == ':' && error == std::errc() && end == rest.data() + rest.size() && index < 256) {
      return {DeviceType::vulkan, static_cast<std::uint8_t>(index)};
    }
  }
  throw Error(ErrorCode::invalid_argument, fmt::format("[device] \"{}\": a device is cpu or vulkan:N", text));
}

std::string to_string(Device device) {
  return device.type == DeviceType::cpu ? "cpu" : fmt::format("vulkan:{}", device.index);
}

}  // namespace v0
}  // namespace nibble
