#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "backend/vulkan/api.h"

namespace nibble::inline v0::detail::vulkan {

/// Cooperative matrices: x (m, k) of f16 times w (k, n) of f16, summed as f32.
struct MatrixShape {
  std::uint32_t m = 0, n = 0, k = 0;
};

/// What a physical device has of what shaders use.
struct Features {
  /// Empty where the device can be used: every feature that shaders are written for.
  std::vector<std::string> lacking;
  /// By name, for people.
  std::vector<std::string> names;

  std::uint32_t subgroup_size = 1;
  std::uint32_t shared_memory_bytes = 0;
  std::uint32_t largest_workgroup = 0;  ///< of one dimension
  std::uint32_t most_workgroups = 0;    ///< along each of the first two dimensions
  std::uint64_t largest_buffer = 0;
  bool strict_floats = false;  ///< shaders may ask that NaNs, infinities and signed zeros are computed with
  /// Whether products read through texel views (shaders/texels.glsl), and how much of a buffer one of 32 bits covers.
  bool texels = false;
  std::uint64_t texel_view_bytes = 0;
  bool shuffles = false;            ///< lanes read one another's registers
  bool dot_products = false;        ///< of four bytes in a word
  bool quick_dot_products = false;  ///< by an instruction
  bool halves = false;              ///< arithmetic of f16
  // What products of cooperative matrices need, and the shape of those that they use; all 0: they are none.
  bool memory_model = false, device_scope = false, full_subgroups = false, cooperative = false;
  MatrixShape matrices;

  std::vector<const char*> extensions;  ///< that these need

  /// On a device that somebody else has made, nothing else may be relied on.
  void leave_out_optional();
};

bool has_extension(VkPhysicalDevice device, std::string_view name);
Features probe_features(VkPhysicalDevice device);

/// The device with the features that shaders use, one queue that computes, of family `family`.
VkDevice create_device(VkPhysicalDevice physical, const Features& features, std::uint32_t family);

}  // namespace nibble::inline v0::detail::vulkan
