#include "backend/vulkan/pipelines.h"

#include <fmt/format.h>

#include <algorithm>

#include "backend/vulkan/digest.h"
#include "nibble/error.h"

namespace nibble::inline v0::detail::vulkan {

const Shader* find_shader(std::string_view name) {
  static const std::unordered_map<std::string_view, const Shader*> by_name = [] {
    std::unordered_map<std::string_view, const Shader*> rows;
    for (const Shader& shader : shader_table()) rows.emplace(shader.name, &shader);
    return rows;
  }();
  const auto found = by_name.find(name);
  return found == by_name.end() ? nullptr : found->second;
}

Variant::Variant(std::string name, std::uint32_t workgroup_size, std::initializer_list<std::uint32_t> own)
    : shader(std::move(name)) {
  constants[0] = workgroup_size;
  add(own);
}

Variant& Variant::add(std::initializer_list<std::uint32_t> more) {
  std::copy(more.begin(), more.end(), constants.begin() + count);
  count += static_cast<std::uint32_t>(more.size());
  return *this;
}

std::uint64_t Variant::digest() const {
  Digest digest;
  digest.add(shader);
  for (const std::uint32_t constant : std::span(constants).first(count)) digest.add_word(constant);
  return digest.value();
}

namespace {

/// A file for each device, of this driver's and these shaders' pipelines.
CacheFile cache_file(const FoundDevice& found) {
  const std::filesystem::path folder = user_cache_folder();
  Digest key;
  key.add(found.identity);
  for (const Shader& shader : shader_table()) key.add(std::as_bytes(shader.words));
  return {folder.empty() ? folder : folder / fmt::format("pipelines-{}.bin", found.uuid), key.value()};
}

constexpr std::size_t kHeaderWords = 5;  // of a module
constexpr std::uint32_t kOpCapability = 2u << 16 | 17u;

/// Whether a module declares the capability CooperativeMatrixKHR: its first instructions say.
bool multiplies_matrices(std::span<const std::uint32_t> words) {
  constexpr std::uint32_t kCooperativeMatrix = 6022;
  for (std::size_t i = kHeaderWords; i + 1 < words.size() && words[i] == kOpCapability; i += 2) {
    if (words[i + 1] == kCooperativeMatrix) return true;
  }
  return false;
}

/// Compiling costs more than writing, but not by so much that each pipeline were worth a file.
constexpr std::chrono::seconds kBetweenSaves{2};

}  // namespace

std::vector<std::uint32_t> with_strict_floats(std::span<const std::uint32_t> words) {
  constexpr std::uint32_t kOpEntryPoint = 15, kStrict = 4466, kStrictMode = 4461;
  std::vector<std::uint32_t> out(words.begin(), words.begin() + kHeaderWords);
  out.insert(out.end(), {kOpCapability, kStrict});
  for (std::size_t i = kHeaderWords; i < words.size(); i += words[i] >> 16) {
    const auto instruction = words.subspan(i, words[i] >> 16);
    out.insert(out.end(), instruction.begin(), instruction.end());
    if ((words[i] & 0xffffu) == kOpEntryPoint) out.insert(out.end(), {4u << 16 | 16u, words[i + 2], kStrictMode, 32});
  }
  return out;
}

Pipelines::Pipelines(Gpu& gpu) : gpu_(gpu), file_(cache_file(gpu.found())) {
  const VkPushConstantRange arguments{VK_SHADER_STAGE_COMPUTE_BIT, 0, kPushBytes};
  VkPipelineLayoutCreateInfo layout{};
  layout.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
  layout.pushConstantRangeCount = 1;
  layout.pPushConstantRanges = &arguments;
  const VkDescriptorSetLayout bindings = gpu_.found().features.texels ? texel_bindings() : nullptr;
  layout.setLayoutCount = bindings ? 1 : 0;
  layout.pSetLayouts = &bindings;
  check(gpu_.call().vkCreatePipelineLayout(gpu_.handle(), &layout, nullptr, &layout_), "making a pipeline layout");
  const std::vector<std::byte> kept = file_.read();
  VkPipelineCacheCreateInfo cache{};
  cache.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO;
  cache.initialDataSize = kept.size();
  cache.pInitialData = kept.data();
  check(gpu_.call().vkCreatePipelineCache(gpu_.handle(), &cache, nullptr, &cache_), "making a pipeline cache");
}

VkDescriptorSetLayout Pipelines::texel_bindings() {
  std::array<VkDescriptorSetLayoutBinding, kTexelBindings> bindings{};
  for (std::uint32_t b = 0; b < kTexelBindings; ++b) {
    bindings[b] = {b, VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, nullptr};
  }
  VkDescriptorSetLayoutCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
  info.flags = VK_DESCRIPTOR_SET_LAYOUT_CREATE_PUSH_DESCRIPTOR_BIT_KHR;
  info.bindingCount = kTexelBindings;
  info.pBindings = bindings.data();
  check(gpu_.call().vkCreateDescriptorSetLayout(gpu_.handle(), &info, nullptr, &bindings_), "making the bindings");
  return bindings_;
}

Pipelines::~Pipelines() {
  const VolkDeviceTable& call = gpu_.call();
  for (const auto& [digest, pipeline] : made_) call.vkDestroyPipeline(gpu_.handle(), pipeline, nullptr);
  call.vkDestroyPipelineCache(gpu_.handle(), cache_, nullptr);
  call.vkDestroyPipelineLayout(gpu_.handle(), layout_, nullptr);
  call.vkDestroyDescriptorSetLayout(gpu_.handle(), bindings_, nullptr);
}

VkPipeline Pipelines::get(const Variant& variant) {
  const std::uint64_t digest = variant.digest();
  const auto found = made_.find(digest);
  if (found != made_.end()) return found->second;
  const VkPipeline pipeline = make(variant);
  grown_ = true;
  return made_.emplace(digest, pipeline).first->second;
}

void Pipelines::save() {
  const auto now = std::chrono::steady_clock::now();
  if (!grown_ || now - saved_ < kBetweenSaves) return;
  grown_ = false;
  saved_ = now;
  const VolkDeviceTable& call = gpu_.call();
  std::size_t bytes = 0;
  if (call.vkGetPipelineCacheData(gpu_.handle(), cache_, &bytes, nullptr) != VK_SUCCESS) return;
  std::vector<std::byte> data(bytes);
  if (call.vkGetPipelineCacheData(gpu_.handle(), cache_, &bytes, data.data()) != VK_SUCCESS) return;
  file_.write(std::span(data).first(bytes));
}

VkPipeline Pipelines::make(const Variant& variant) {
  const VolkDeviceTable& call = gpu_.call();
  const Shader* shader = find_shader(variant.shader);
  if (!shader) throw Error(ErrorCode::unsupported, fmt::format("[vulkan] there is no shader {}", variant.shader));
  VkShaderModuleCreateInfo code{};
  code.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
  std::vector<std::uint32_t> strict;
  if (gpu_.found().features.strict_floats) strict = with_strict_floats(shader->words);
  const std::span<const std::uint32_t> words = strict.empty() ? shader->words : std::span<const std::uint32_t>(strict);
  code.codeSize = words.size_bytes();
  code.pCode = words.data();
  VkShaderModule module = nullptr;
  check(call.vkCreateShaderModule(gpu_.handle(), &code, nullptr, &module), shader->name);

  std::array<VkSpecializationMapEntry, Variant::kMost> entries{};
  for (std::uint32_t i = 0; i < variant.count; ++i) entries[i] = {i, i * 4, 4};
  const VkSpecializationInfo constants{variant.count, entries.data(), variant.count * 4, variant.constants.data()};
  VkComputePipelineCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
  info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  info.stage.module = module;
  if (multiplies_matrices(shader->words)) {
    info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT;
  }
  info.stage.pName = "main";
  info.stage.pSpecializationInfo = &constants;
  info.layout = layout_;
  VkPipeline pipeline = nullptr;
  const VkResult result = call.vkCreateComputePipelines(gpu_.handle(), cache_, 1, &info, nullptr, &pipeline);
  call.vkDestroyShaderModule(gpu_.handle(), module, nullptr);
  check(result, fmt::format("compiling {}", shader->name));
  return pipeline;
}

}  // namespace nibble::inline v0::detail::vulkan
