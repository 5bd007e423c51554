// What the modules in the library ask of a device: no device is needed.
#include <gmock/gmock.h>

#include <array>
#include <string_view>

#include "backend/vulkan/pipelines.h"

namespace nibble::tests {
namespace {

using detail::vulkan::Shader;

/// A capability that modules declare, by SPIR-V's number, and whose they may be: those whose names begin so, which only
/// run where a device has what stands beside it (backend/vulkan/features.cpp: kOptional); else everyone's.
struct Capability {
  std::uint32_t number;
  const char* needs;
  std::array<std::string_view, 5> users = {};
};
constexpr Capability kCapabilities[] = {
    {1, "Shader: every device"},
    {11, "Int64: shaderInt64"},
    {46, "SampledBuffer: every device", {"lanes_"}},
    {4433, "StorageBuffer16BitAccess: storageBuffer16BitAccess"},
    {4448, "StorageBuffer8BitAccess: storageBuffer8BitAccess"},
    {5347, "PhysicalStorageBufferAddresses: bufferDeviceAddress"},
    {61, "GroupNonUniform: subgroups' basic operations"},
    {63, "GroupNonUniformArithmetic: subgroups' arithmetic"},
    {65, "GroupNonUniformShuffle: shuffles", {"lanes_"}},
    {9, "Float16: shaderFloat16", {"probe_f16", "probe_matrices", "gemm_matrices_"}},
    {6018, "DotProductInput4x8BitPacked: shaderIntegerDotProduct", {"probe_int8", "gemv_bytes_", "gemm_bytes_"}},
    {6019, "DotProduct: shaderIntegerDotProduct", {"probe_int8", "gemv_bytes_", "gemm_bytes_"}},
    {5345, "VulkanMemoryModel: vulkanMemoryModel", {"probe_matrices", "gemm_matrices_"}},
    {6022, "CooperativeMatrixKHR: cooperativeMatrix", {"probe_matrices", "gemm_matrices_"}},
};
constexpr const char* kExtensions[] = {"SPV_KHR_integer_dot_product", "SPV_KHR_cooperative_matrix"};

/// Calls `visit` with the code and the words of each instruction.
template <class Visit>
void each_instruction(std::span<const std::uint32_t> words, Visit visit) {
  for (std::size_t i = 5; i < words.size(); i += words[i] >> 16) {
    ASSERT_GT(words[i] >> 16, 0u);
    visit(words[i] & 0xffffu, words.subspan(i, words[i] >> 16));
  }
}

TEST(Shaders, DeclareNothingThatADeviceIsNotAskedFor) {
  ASSERT_FALSE(detail::vulkan::shader_table().empty());
  for (const Shader& shader : detail::vulkan::shader_table()) {
    SCOPED_TRACE(std::string(shader.name));
    each_instruction(shader.words, [&](std::uint32_t code, std::span<const std::uint32_t> words) {
      if (code == 17) {
        const auto* found = std::ranges::find(kCapabilities, words[1], &Capability::number);
        ASSERT_NE(found, std::end(kCapabilities)) << "capability " << words[1];
        const auto begins = [&](std::string_view user) { return !user.empty() && shader.name.starts_with(user); };
        EXPECT_TRUE(found->users[0].empty() || std::ranges::any_of(found->users, begins)) << found->needs;
      } else if (code == 10) {
        EXPECT_THAT(kExtensions, testing::Contains(testing::StrEq(reinterpret_cast<const char*>(&words[1]))));
      }
    });
  }
}

TEST(Shaders, ComputeWithNaNsWhereADeviceLetsThem) {
  for (const Shader& shader : detail::vulkan::shader_table()) {
    SCOPED_TRACE(std::string(shader.name));
    const std::vector<std::uint32_t> strict = detail::vulkan::with_strict_floats(shader.words);
    EXPECT_EQ(strict.size(), shader.words.size() + 6);
    std::uint32_t entry = 0, last = 0;
    int capabilities = 0, modes = 0;
    each_instruction(strict, [&](std::uint32_t code, std::span<const std::uint32_t> words) {
      if (code == 17 && words[1] == 4466) {
        ++capabilities;
        EXPECT_TRUE(last == 0 || last == 17);  // among capabilities, which come first
      }
      if (code == 15) entry = words[2];
      if (code == 16 && words[2] == 4461) {
        ++modes;
        EXPECT_EQ(words[1], entry);
        EXPECT_EQ(words[3], 32u);
        EXPECT_TRUE(last == 15 || last == 16);  // among the modes, behind the entry
      }
      last = code;
    });
    EXPECT_EQ(capabilities, 1);
    EXPECT_EQ(modes, 1);
  }
}

}  // namespace
}  // namespace nibble::tests
