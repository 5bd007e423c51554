#pragma once

#include <string_view>

#include "backend/common/backend.h"
#include "nibble/tensor.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// The backend of a device. Throws Error(unsupported) naming what there is.
Backend& backend_for(Device device);
/// The same, to run an operation on, which stats() counts.
Backend& counted_backend(Device device);

/// The backend on which an operation of these operands runs. Throws Error(device_mismatch) naming both where they lie
/// apart.
Backend& route(std::string_view op, const Tensor& a);
Backend& route(std::string_view op, const Tensor& a, const Tensor& b);

/// Throws Error(device_mismatch) naming both where they lie apart.
void require_one_device(std::string_view op, const Tensor& a, const Tensor& b);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
