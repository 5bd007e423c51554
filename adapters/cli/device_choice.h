#pragma once

#include <span>
#include <string>

#include "nibble/device.h"

/// Which device the program computes on. What there is, and why there is no more, is handed in where it is not asked of
/// the library.
namespace nibble::cli {

/// Where the program computes unless it is told: the first Vulkan device that is no software, else the CPU. devices()
/// has discrete cards before integrated ones.
Device preferred_device(std::span<const DeviceInfo> all);
Device preferred_device();

/// The device at that place ("cpu", "vulkan:0"), or the first Vulkan device in whose name the text stands, whatever the
/// case of letters. Throws Error in the option's name, and says what was found: unsupported for a place, else
/// invalid_argument.
Device find_device(const std::string& option, const std::string& text, std::span<const DeviceInfo> all,
                   const std::string& absence);
Device find_device(const std::string& option, const std::string& text);

}  // namespace nibble::cli
