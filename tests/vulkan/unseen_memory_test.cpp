// Cards whose memory the host does not see: all that goes there and comes back passes through the host's own.
#include <gmock/gmock.h>
#include <volk.h>

#include <utility>

#include "backend/common/backend.h"
#include "backend/vulkan/vulkan_backend.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"
#include "tests/vulkan/adopted_device.h"

namespace nibble::tests {
namespace {

constexpr std::uint32_t kUnseen = 0, kSeen = 1;  // places of memory types, of which the device at hand has the first
int taken_unseen = 0;

PFN_vkGetPhysicalDeviceMemoryProperties tell_really = nullptr;
void tell_two_types(VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties* memory) {
  tell_really(physical, memory);
  memory->memoryTypeCount = 2;
  memory->memoryTypes[kUnseen] = {VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, 0};
  memory->memoryTypes[kSeen] = {VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT, 0};
}
PFN_vkGetBufferMemoryRequirements require_really = nullptr;
void take_either(VkDevice device, VkBuffer buffer, VkMemoryRequirements* needs) {
  require_really(device, buffer, needs);
  needs->memoryTypeBits = 1u << kUnseen | 1u << kSeen;
}
PFN_vkAllocateMemory allocate_really = nullptr;
VkResult allocate_first(VkDevice device, const VkMemoryAllocateInfo* info, const VkAllocationCallbacks* callbacks,
                        VkDeviceMemory* memory) {
  taken_unseen += info->memoryTypeIndex == kUnseen ? 1 : 0;
  VkMemoryAllocateInfo first = *info;
  first.memoryTypeIndex = 0;
  return allocate_really(device, &first, callbacks, memory);
}

class UnseenMemory : public AdoptedDevice {
 protected:
  void SetUp() override {
    AdoptedDevice::SetUp();
    if (IsSkipped()) return;
    auto& backend = static_cast<detail::vulkan::VulkanBackend&>(detail::vulkan_backend(device_.index));
    VolkDeviceTable& functions = backend.context().gpu().functions();
    require_really = std::exchange(functions.vkGetBufferMemoryRequirements, take_either);
    allocate_really = std::exchange(functions.vkAllocateMemory, allocate_first);
    tell_really = std::exchange(vkGetPhysicalDeviceMemoryProperties, tell_two_types);
    taken_unseen = 0;
  }
  void TearDown() override {
    if (IsSkipped()) return;
    vkGetPhysicalDeviceMemoryProperties = tell_really;
    AdoptedDevice::TearDown();
    EXPECT_GT(taken_unseen, 0);
  }
};

// Of which one is several times what the way there holds.
TEST_F(UnseenMemory, BytesComeBackAsTheyWent) {
  for (const std::int64_t n : {1, 7, 1 << 20, 6'000'001}) {
    const Tensor x = random_normal({n}, 1);
    EXPECT_EQ(x.to(device_).to(Device::cpu()).to_vector<float>(), x.to_vector<float>()) << n;
  }
}

TEST_F(UnseenMemory, ComputesWhatTheHostDoes) {
  const Tensor w = quantize(random_normal({300, 512}, 1), {.bits = 4, .group_size = 64}),
               x = random_normal({5, 512}, 2);
  const std::vector<float> want = matmul(x, transpose(w)).to_vector<float>();
  const with in_force(there());
  EXPECT_THAT(matmul(x.to(device_), transpose(w.to(device_))).to_vector<float>(),
              testing::Pointwise(testing::FloatNear(5e-3f), want));
  std::vector<Tensor> results;
  for (float i = 0; i < 200; ++i) results.push_back(tensor<float>({i, i + 1}, {2}) * 2);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const float first = 2.0f * static_cast<float>(i);
    EXPECT_EQ(results[i].to_vector<float>(), (std::vector<float>{first, first + 2}));
  }
}

}  // namespace
}  // namespace nibble::tests
