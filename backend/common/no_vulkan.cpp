// Stands in for backend/vulkan in builds without it.
#include <fmt/format.h>

#include "backend/common/backend.h"
#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace detail {

std::vector<DeviceInfo> vulkan_devices() { return {}; }

Backend& vulkan_backend(int index) {
  throw Error(ErrorCode::unsupported,
              fmt::format("[device] vulkan:{}: there is only the cpu; nibble was built without Vulkan", index));
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
