#pragma once

#include <array>
#include <string>

#include "backend/vulkan/context.h"
#include "quant_tensor/formats/format.h"
#include "quant_tensor/tensor/cached.h"

namespace nibble::inline v0::detail::vulkan {

/// What shaders read of w, by the numbers that it has there: a packed tensor's components, then the numbers that codes
/// of its format name, if they do; or a dense tensor itself.
CachedVector<Tensor> parts_of(const Tensor& w);

/// How shaders see the rows of a packed tensor: where each part's row 0 of this view lies, from the view's first weight
/// on, and how far the next one is. What codes name is the same for all rows.
struct PackedView {
  explicit PackedView(const Tensor& packed);
  std::array<std::uint64_t, 3> address{};
  std::array<std::uint32_t, 3> pitch{};
};

/// The shader that an algorithm has for a format, by their names: none where variants.txt has no such row.
std::string shader_for(std::string_view algorithm, const Format* format);
bool has_shader_for(std::string_view algorithm, const Format* format);

/// What a format's include is specialized by, from constant 4 on.
std::array<std::uint32_t, 3> format_constants(const Tensor& w);

}  // namespace nibble::inline v0::detail::vulkan
