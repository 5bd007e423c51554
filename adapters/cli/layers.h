#pragma once

#include <string>
#include <vector>

#include "adapters/files/checkpoint.h"
#include "nibble/device.h"

namespace nibble::cli {

/// The device of each layer, as --layers names them: "vulkan:0=0-15,cpu=16-29", or "auto": as many as graphics
/// cards have free memory for, the rest on the CPU. Throws Error(invalid_argument) where a layer has no place, or two.
std::vector<Device> place_layers(const std::string& text, const files::Checkpoint& checkpoint);

}  // namespace nibble::cli
