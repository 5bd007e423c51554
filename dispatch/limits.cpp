#include "nibble/limits.h"

#include <algorithm>

#include "dispatch/route.h"
#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace {

constexpr std::uint64_t kSmallestBuffer = std::uint64_t{1} << 20;

}  // namespace

std::uint64_t cache_bytes(Device device) { return detail::backend_for(device).cache_bytes(); }

std::vector<LoopRate> measure_reading(const Tensor& buffer, std::string_view unit) {
  if (buffer.is_quantized() || !buffer.is_contiguous() || buffer.nbytes() < kSmallestBuffer) {
    throw Error(ErrorCode::invalid_argument,
                "[measure_reading] " + describe(buffer) + ": must be dense, contiguous and at least 1 MiB");
  }
  return detail::backend_for(buffer.device()).measure_reading(buffer, unit);
}

std::vector<LoopRate> measure_arithmetic(Arithmetic kind, Device device, std::string_view unit) {
  return detail::backend_for(device).measure_arithmetic(kind, unit);
}

double fastest(const std::vector<LoopRate>& rates) noexcept {
  double best = 0;
  for (const LoopRate& rate : rates) best = std::max(best, rate.per_second);
  return best;
}

}  // namespace v0
}  // namespace nibble
