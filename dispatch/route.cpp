#include "dispatch/route.h"

#include <fmt/format.h>

#include "nibble/error.h"
#include "quant_tensor/tensor/counters.h"

namespace nibble {
inline namespace v0 {
namespace detail {

Backend& backend_for(Device device) {
  if (device == Device::cpu()) return cpu_backend();
  throw Error(ErrorCode::unsupported, fmt::format("[device] {}: there is only the cpu", nibble::to_string(device)));
}

Backend& route(std::string_view, const Tensor& a) {
  count(counters().ops_cpu, 1);
  return backend_for(a.device());
}

Backend& route(std::string_view op, const Tensor& a, const Tensor& b) {
  if (a.device() != b.device()) {
    throw Error(ErrorCode::device_mismatch,
                fmt::format("[{}] {} on {} · {} on {}: operands on different devices", op, describe(a),
                            nibble::to_string(a.device()), describe(b), nibble::to_string(b.device())));
  }
  return route(op, a);
}

}  // namespace detail

Tensor Tensor::to(Device target) const {
  if (device() == target) return *this;
  detail::backend_for(target);
  return *this;
}

}  // namespace v0
}  // namespace nibble
