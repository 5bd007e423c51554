#include "backend/vulkan/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "backend/vulkan/backends.h"
#include "nibble/error.h"

namespace nibble::inline v0 {
namespace detail::vulkan {

Profile::Profile(Gpu& gpu) : gpu_(gpu) {
  const VkPhysicalDevice physical = gpu.found().physical;
  std::uint32_t count = 0;
  vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, families.data());
  const std::uint32_t bits = families[gpu.family()].timestampValidBits;
  if (bits == 0) {
    throw Error(ErrorCode::unsupported, fmt::format("[profile] {}: its queue has no clock", gpu.found().name));
  }
  ticks_ = ~std::uint64_t{0} >> (64 - bits);
  VkPhysicalDeviceProperties properties{};
  vkGetPhysicalDeviceProperties(physical, &properties);
  seconds_a_tick_ = 1e-9 * static_cast<double>(properties.limits.timestampPeriod);
}

Profile::~Profile() {
  for (const Pool& pool : pools_) gpu_.call().vkDestroyQueryPool(gpu_.handle(), pool.queries, nullptr);
}

void Profile::begin(VkCommandBuffer commands, std::string_view kernel) {
  if (pools_.empty() || pools_.back().kernels.size() == kCommandsAPool) {
    VkQueryPoolCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO;
    info.queryType = VK_QUERY_TYPE_TIMESTAMP;
    info.queryCount = 2 * kCommandsAPool;
    Pool& pool = pools_.emplace_back();
    check(gpu_.call().vkCreateQueryPool(gpu_.handle(), &info, nullptr, &pool.queries), "making a pool of timestamps");
    gpu_.call().vkCmdResetQueryPool(commands, pool.queries, 0, info.queryCount);
  }
  Pool& pool = pools_.back();
  const auto query = static_cast<std::uint32_t>(2 * pool.kernels.size());
  gpu_.call().vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, pool.queries, query);
  pool.kernels.emplace_back(kernel);
}

void Profile::end(VkCommandBuffer commands) {
  const Pool& pool = pools_.back();
  const auto query = static_cast<std::uint32_t>(2 * pool.kernels.size() - 1);
  gpu_.call().vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, pool.queries, query);
}

std::vector<KernelTime> Profile::times() const {
  std::map<std::string, KernelTime> by_name;
  for (const Pool& pool : pools_) {
    std::vector<std::uint64_t> stamps(2 * pool.kernels.size());
    check(gpu_.call().vkGetQueryPoolResults(gpu_.handle(), pool.queries, 0, static_cast<std::uint32_t>(stamps.size()),
                                            stamps.size() * sizeof stamps[0], stamps.data(), sizeof stamps[0],
                                            VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT),
          "reading timestamps");
    for (std::size_t i = 0; i < pool.kernels.size(); ++i) {
      KernelTime& time = by_name[pool.kernels[i]];
      time.runs += 1;
      time.seconds += seconds_a_tick_ * static_cast<double>((stamps[2 * i + 1] - stamps[2 * i]) & ticks_);
    }
  }
  std::vector<KernelTime> times;
  for (auto& [kernel, time] : by_name) times.push_back({kernel, time.runs, time.seconds});
  std::stable_sort(times.begin(), times.end(), [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  return times;
}

}  // namespace detail::vulkan

std::vector<KernelTime> profile(Device device, const std::function<void()>& work) {
  if (device.type != DeviceType::vulkan) {
    throw Error(ErrorCode::unsupported, fmt::format("[profile] {}: is no Vulkan device", to_string(device)));
  }
  return detail::vulkan::Backends::get().at(device.index).context().profile(work);
}

}  // namespace nibble::inline v0
