#include "dispatch/route.h"

#include <fmt/format.h>

#include "dispatch/constants.h"
#include "nibble/error.h"
#include "nibble/options.h"

namespace nibble {
inline namespace v0 {
namespace detail {

Backend& backend_for(Device device) {
  return device.type == DeviceType::cpu ? cpu_backend() : vulkan_backend(device.index);
}

Backend& counted_backend(Device device) {
  Backend& backend = backend_for(device);
  backend.count_operation();
  return backend;
}

Backend& route(std::string_view, const Tensor& a) { return counted_backend(a.device()); }

void require_one_device(std::string_view op, const Tensor& a, const Tensor& b) {
  if (a.device() == b.device()) return;
  throw Error(ErrorCode::device_mismatch,
              fmt::format("[{}] {} on {} · {} on {}: operands on different devices", op, describe(a),
                          nibble::to_string(a.device()), describe(b), nibble::to_string(b.device())));
}

void bring_together(std::string_view op, Tensor& a, Tensor& b) {
  if (a.device() == b.device()) return;
  Tensor& mover = is_constant(b) ? b : a;
  if (!is_constant(mover)) return require_one_device(op, a, b);
  const Device target = &mover == &b ? a.device() : b.device();
  if (options().transfer == Transfer::error) {
    throw Error(ErrorCode::transfer_forbidden,
                fmt::format("[{}] {} on {}: Transfer::error forbids moving it to {}", op, describe(mover),
                            nibble::to_string(mover.device()), nibble::to_string(target)));
  }
  mover = copy_on(target, mover);
}

Backend& route(std::string_view op, Tensor& a, Tensor& b) {
  bring_together(op, a, b);
  return route(op, a);
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
