#pragma once

#include <array>
#include <map>
#include <span>
#include <string>

#include "backend/vulkan/gpu.h"
#include "backend/vulkan/shader_table.h"

namespace nibble::inline v0::detail::vulkan {

/// A shader and the numbers that it is specialized by: constant 0 is the size of its workgroups, the others are its
/// own.
struct Variant {
  static constexpr std::size_t kMost = 10;

  Variant(std::string name, std::uint32_t workgroup_size, std::initializer_list<std::uint32_t> own = {});

  std::string shader;
  std::array<std::uint32_t, kMost> constants{};
  std::uint32_t count = 1;
  auto operator<=>(const Variant&) const = default;
};

/// Bytes of arguments that a dispatch may take: what every device has.
inline constexpr std::size_t kPushBytes = 128;

/// The pipelines of one device, each made at its first use. All have one layout: arguments, addresses among them, are
/// push constants; bindings there are where products read through texel views, and are pushed as well.
class Pipelines {
 public:
  explicit Pipelines(Gpu& gpu);
  Pipelines(const Pipelines&) = delete;
  Pipelines& operator=(const Pipelines&) = delete;

  VkPipeline get(const Variant& variant);
  VkPipelineLayout layout() const { return layout_; }
  /// Of shaders/texels.glsl.
  static constexpr std::uint32_t kTexelBindings = 8;

 private:
  VkDescriptorSetLayout texel_bindings();
  VkPipeline make(const Variant& variant);

  Gpu& gpu_;
  VkPipelineLayout layout_ = nullptr;
  VkPipelineCache cache_ = nullptr;
  std::map<Variant, VkPipeline> made_;
};

}  // namespace nibble::inline v0::detail::vulkan
