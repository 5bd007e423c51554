#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nibble/device.h"
#include "nibble/dtype.h"
#include "nibble/shape.h"

namespace nibble {
namespace hosts {

/// How an operation would be done.
enum class Capability : std::uint8_t {
  refused,
  decoded,  ///< a packed operand is decoded first
  native,
};

/// For an operand of this dtype, and format where it is packed, of this shape as it is stored: the last axis is the
/// packed one. On a device, what has no kernel there is done on the CPU, which stats() tells afterwards.
/// Throws Error(invalid_argument) for an operation or format that there is not.
Capability capability(std::string_view op, DType dtype, const std::optional<std::string>& format, const Shape& shape,
                      Device device);

}  // namespace hosts
}  // namespace nibble
