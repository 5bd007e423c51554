#include "dispatch/route.h"

#include <fmt/format.h>

#include "nibble/error.h"

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

Backend& route(std::string_view op, const Tensor& a, const Tensor& b) {
  require_one_device(op, a, b);
  return route(op, a);
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
