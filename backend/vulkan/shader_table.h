#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace nibble::inline v0::detail::vulkan {

/// One row of shaders/variants.txt, compiled.
struct Shader {
  std::string_view name;
  std::span<const std::uint32_t> words;
};

/// All rows. The build writes the file that defines it.
std::span<const Shader> shader_table();
/// The row of that name; null if there is none.
const Shader* find_shader(std::string_view name);

}  // namespace nibble::inline v0::detail::vulkan
