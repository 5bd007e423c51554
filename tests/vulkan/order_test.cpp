// What a device is told to wait for: seen where commands are recorded.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

#include "backend/common/backend.h"
#include "backend/vulkan/vulkan_backend.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"
#include "tests/vulkan/adopted_device.h"

namespace nibble::tests {
namespace {

std::string told;  // a letter for each dispatch (d) and barrier (b)
PFN_vkCmdDispatch dispatch_really = nullptr;
PFN_vkCmdPipelineBarrier wait_really = nullptr;
void tell_dispatch(VkCommandBuffer commands, std::uint32_t x, std::uint32_t y, std::uint32_t z) {
  told += 'd';
  dispatch_really(commands, x, y, z);
}
void tell_barrier(VkCommandBuffer commands, VkPipelineStageFlags from, VkPipelineStageFlags to, VkDependencyFlags flags,
                  std::uint32_t memory_count, const VkMemoryBarrier* memory, std::uint32_t buffer_count,
                  const VkBufferMemoryBarrier* buffers, std::uint32_t image_count, const VkImageMemoryBarrier* images) {
  told += 'b';
  wait_really(commands, from, to, flags, memory_count, memory, buffer_count, buffers, image_count, images);
}

class Order : public AdoptedDevice {
 protected:
  /// What the device is told by `run`, whose commands are the first of a batch.
  template <class Run>
  std::string told_by(Run run) {
    auto& backend = static_cast<detail::vulkan::VulkanBackend&>(detail::vulkan_backend(device_.index));
    VolkDeviceTable& functions = backend.context().gpu().functions();
    told.clear();
    dispatch_really = std::exchange(functions.vkCmdDispatch, tell_dispatch);
    wait_really = std::exchange(functions.vkCmdPipelineBarrier, tell_barrier);
    run();
    functions.vkCmdDispatch = dispatch_really;
    functions.vkCmdPipelineBarrier = wait_really;
    return told;
  }
};

TEST_F(Order, ProductsOfOneTensorDoNotWaitForOneAnother) {
  const with in_force(there());
  const Tensor x = random_normal({1, 256}, 1);
  const auto packed = [&](std::uint64_t seed, std::int64_t rows) {
    return transpose(quantize(random_normal({rows, 256}, seed), {.bits = 4, .group_size = 64}));
  };
  const Tensor query = packed(2, 128), key = packed(3, 64), value = packed(4, 64);
  for (const Tensor& t : {query, key, value}) dequantize(t).to_vector<float>();  // nothing is left to be done
  Tensor q, k, v, sum;
  const auto products = [&] { q = matmul(x, query), k = matmul(x, key), v = matmul(x, value); };
  EXPECT_EQ(told_by(products), "bddd");  // the batch begins behind the ones before
  EXPECT_EQ(told_by([&] { sum = k + v; }), "bd");
  EXPECT_EQ(told_by([&] { q = exp(q); }), "d");  // what it reads was waited for
  v.to_vector<float>();
}

// Parts along k write next to one another, and only their sum waits.
TEST_F(Order, PartsAlongKAreOneDispatch) {
  const with in_force(there());
  const Tensor x = random_normal({1, 4096}, 1), w = random_normal({32, 4096}, 2);
  x.to_vector<float>();
  Tensor y;
  EXPECT_EQ(told_by([&] { y = matmul(x, transpose(w)); }), "bdbd");
  y.to_vector<float>();
}

}  // namespace
}  // namespace nibble::tests
