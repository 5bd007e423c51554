#pragma once

#include <volk.h>

#include <string_view>

namespace nibble::inline v0::detail::vulkan {

/// Throws Error(out_of_memory | device_lost | unsupported) that names what was tried and what Vulkan said of it.
void check(VkResult result, std::string_view what);

}  // namespace nibble::inline v0::detail::vulkan
