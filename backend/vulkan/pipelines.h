#pragma once

#include <array>
#include <chrono>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "backend/vulkan/cache_file.h"
#include "backend/vulkan/gpu.h"
#include "backend/vulkan/shader_table.h"

namespace nibble::inline v0::detail::vulkan {

/// A shader and the numbers that it is specialized by: constant 0 is the size of its workgroups, the others are its
/// own.
struct Variant {
  static constexpr std::size_t kMost = 14;

  Variant(std::string name, std::uint32_t workgroup_size, std::initializer_list<std::uint32_t> own = {});

  /// Further constants, after those that there are.
  Variant& add(std::initializer_list<std::uint32_t> more);

  std::string shader;
  std::array<std::uint32_t, kMost> constants{};
  std::uint32_t count = 1;
  /// What tells it from all others.
  std::uint64_t digest() const;
};

/// A module with the execution mode SignedZeroInfNanPreserve for 32 bits, and the capability that it takes: without it
/// a device may compute as if there were no NaN.
std::vector<std::uint32_t> with_strict_floats(std::span<const std::uint32_t> words);

/// Bytes of arguments that a dispatch may take: what every device has.
inline constexpr std::size_t kPushBytes = 128;

/// The pipelines of one device, each made at its first use. All have one layout: arguments, addresses among them, are
/// push constants; bindings there are where products read through texel views, and are pushed as well.
class Pipelines {
 public:
  explicit Pipelines(Gpu& gpu);
  ~Pipelines();
  Pipelines(const Pipelines&) = delete;
  Pipelines& operator=(const Pipelines&) = delete;

  VkPipeline get(const Variant& variant);
  VkPipelineLayout layout() const { return layout_; }
  /// Of shaders/texels.glsl.
  static constexpr std::uint32_t kTexelBindings = 8;
  /// Keeps for the next process what has been compiled since the last time, now and then.
  void save();

 private:
  VkDescriptorSetLayout texel_bindings();
  VkPipeline make(const Variant& variant);

  Gpu& gpu_;
  VkDescriptorSetLayout bindings_ = nullptr;
  VkPipelineLayout layout_ = nullptr;
  VkPipelineCache cache_ = nullptr;
  CacheFile file_;
  bool grown_ = false;  // since it was saved
  std::chrono::steady_clock::time_point saved_{};
  std::unordered_map<std::uint64_t, VkPipeline> made_;
};

}  // namespace nibble::inline v0::detail::vulkan
