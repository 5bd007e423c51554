// The loader is opened at run time: nothing links to it. This file holds volk's one definition.
#define VOLK_IMPLEMENTATION
#include "backend/vulkan/api.h"

#include <fmt/format.h>

#include "nibble/error.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

struct ResultRow {
  VkResult result;
  ErrorCode code;
  std::string_view text;
};
constexpr ResultRow kResults[] = {
    {VK_ERROR_OUT_OF_HOST_MEMORY, ErrorCode::out_of_memory, "out of host memory"},
    {VK_ERROR_OUT_OF_DEVICE_MEMORY, ErrorCode::out_of_memory, "out of device memory"},
    {VK_ERROR_TOO_MANY_OBJECTS, ErrorCode::out_of_memory, "too many objects"},
    {VK_ERROR_DEVICE_LOST, ErrorCode::device_lost, "the device is lost"},
    {VK_ERROR_INITIALIZATION_FAILED, ErrorCode::unsupported, "initialization failed"},
    {VK_ERROR_INCOMPATIBLE_DRIVER, ErrorCode::unsupported, "no driver fits"},
};

}  // namespace

void check(VkResult result, std::string_view what) {
  if (result >= 0) return;
  for (const ResultRow& row : kResults) {
    if (row.result == result) throw Error(row.code, fmt::format("[vulkan] {}: {}", what, row.text));
  }
  throw Error(ErrorCode::unsupported, fmt::format("[vulkan] {}: error {}", what, static_cast<int>(result)));
}

}  // namespace nibble::inline v0::detail::vulkan
