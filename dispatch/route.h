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

/// Where two operands lie apart, a constant one becomes its copy on the other's device (nibble/transfer.h). Throws
/// Error(transfer_forbidden), and Error(device_mismatch) naming both where neither is constant.
void bring_together(std::string_view op, Tensor& a, Tensor& b);

/// The backend on which an operation of these operands runs, brought together.
Backend& route(std::string_view op, const Tensor& a);
Backend& route(std::string_view op, Tensor& a, Tensor& b);

/// Throws Error(device_mismatch) naming both where they lie apart.
void require_one_device(std::string_view op, const Tensor& a, const Tensor& b);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
