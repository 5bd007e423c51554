#include "adapters/cli/device_choice.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <vector>

#include "nibble/error.h"
#include "nibble/vulkan.h"

namespace nibble::cli {
namespace {

/// Whether a text has another in it, whatever the case of letters.
bool stands_in(const std::string& text, const std::string& part) {
  const auto same = [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); };
  return std::search(text.begin(), text.end(), part.begin(), part.end(), same) != text.end();
}

}  // namespace

Device preferred_device(std::span<const DeviceInfo> all) {
  for (const DeviceInfo& info : all) {
    if (info.device != Device::cpu() && !info.software) return info.device;
  }
  return Device::cpu();
}

Device preferred_device() { return preferred_device(devices()); }

Device find_device(const std::string& option, const std::string& text, std::span<const DeviceInfo> all,
                   const std::string& absence) {
  const bool is_place = text.empty() || text == "cpu" || text.starts_with("vulkan");
  const Device wanted = is_place ? Device::parse(text) : Device::cpu();
  std::vector<std::string> found;
  for (const DeviceInfo& info : all) {
    if (is_place ? info.device == wanted : info.device != Device::cpu() && stands_in(info.name, text)) {
      return info.device;
    }
    found.push_back(fmt::format("{} ({})", to_string(info.device), info.name));
  }
  throw Error(is_place ? ErrorCode::unsupported : ErrorCode::invalid_argument,
              fmt::format("{} {}: no such device here; found {}{}{}", option, text, fmt::join(found, ", "),
                          absence.empty() ? "" : "; ", absence));
}

Device find_device(const std::string& option, const std::string& text) {
  return find_device(option, text, devices(), vulkan_absence());
}

}  // namespace nibble::cli
