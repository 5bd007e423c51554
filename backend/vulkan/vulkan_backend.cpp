#include "backend/vulkan/vulkan_backend.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "nibble/error.h"
#include "quant_tensor/tensor/counters.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble::inline v0::detail {
namespace vulkan {
namespace {

/// One backend a device, made when the device is first asked for. They never end: tensors may outlive any order of
/// destruction.
class Backends {
 public:
  static Backends& get() {
    static Backends* const backends = new Backends();
    return *backends;
  }
  VulkanBackend& at(int index) {
    const std::vector<FoundDevice>& found = Instance::get().devices();
    const auto i = static_cast<std::size_t>(index);
    if (i >= found.size()) throw Error(ErrorCode::unsupported, absence(index));
    const std::lock_guard lock(mutex_);
    if (made_.size() <= i) made_.resize(found.size());
    if (!made_[i])
      made_[i] = std::make_unique<VulkanBackend>(Device{DeviceType::vulkan, static_cast<std::uint8_t>(i)}, found[i]);
    return *made_[i];
  }

 private:
  static std::string absence(int index) {
    std::vector<std::string> names{"the cpu"};
    for (const DeviceInfo& info : vulkan_devices())
      names.push_back(fmt::format("{} ({})", nibble::to_string(info.device), info.name));
    const std::string& why = Instance::get().absence();
    return fmt::format("[device] vulkan:{}: there is only {}{}{}", index, fmt::join(names, ", "),
                       why.empty() ? "" : "; ", why);
  }
  std::mutex mutex_;
  std::vector<std::unique_ptr<VulkanBackend>> made_;
};

}  // namespace

void VulkanBackend::count_operation() { count(counters().ops_vulkan, 1); }

void VulkanBackend::place(const Tensor& host, const Tensor& out) {
  count(counters().bytes_moved, host.nbytes());
  if (out.is_contiguous()) return upload(bytes_of(host), out);
  const Tensor between = allocate(out.shape(), out.dtype());
  upload(bytes_of(host), between);
  copy(between, out);
}

VulkanBackend& backend_of(const Tensor& t) { return Backends::get().at(t.device().index); }

}  // namespace vulkan

std::vector<DeviceInfo> vulkan_devices() {
  std::vector<DeviceInfo> out;
  for (const vulkan::FoundDevice& found : vulkan::Instance::get().devices()) {
    DeviceInfo info;
    info.device = {DeviceType::vulkan, static_cast<std::uint8_t>(out.size())};
    info.name = found.name;
    info.driver = found.driver;
    info.software = found.software;
    info.memory_bytes = found.memory_bytes;
    info.subgroup_size = found.features.subgroup_size;
    info.features = found.features.names;
    out.push_back(std::move(info));
  }
  return out;
}

Backend& vulkan_backend(int index) { return vulkan::Backends::get().at(index); }

}  // namespace nibble::inline v0::detail
