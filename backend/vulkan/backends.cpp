#include "backend/vulkan/backends.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "nibble/error.h"

namespace nibble::inline v0::detail {
namespace vulkan {
namespace {

constexpr std::size_t kMostDevices = 256;  // that an index of eight bits tells apart

Device device_at(std::size_t place) { return {DeviceType::vulkan, static_cast<std::uint8_t>(place)}; }

}  // namespace

Backends& Backends::get() {
  static Backends* const backends = new Backends();
  return *backends;
}

Backends::Backends() {
  for (const FoundDevice& found : Instance::get().devices()) places_.push_back({found, {}, nullptr});
}

VulkanBackend& Backends::at(int index) {
  const auto i = static_cast<std::size_t>(index);
  std::unique_lock lock(mutex_);
  if (i >= places_.size() || places_[i].empty) {
    lock.unlock();
    throw Error(ErrorCode::unsupported, absence(index));
  }
  Place& place = places_[i];
  if (!place.backend) {
    place.backend = std::make_unique<VulkanBackend>(device_at(i), place.found, place.host ? &*place.host : nullptr);
  }
  return *place.backend;
}

std::vector<DeviceInfo> Backends::devices() {
  const std::lock_guard lock(mutex_);
  std::vector<DeviceInfo> out;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (places_[i].empty) continue;
    const FoundDevice& found = places_[i].found;
    DeviceInfo info;
    info.device = device_at(i);
    info.name = found.name;
    info.driver = found.driver;
    info.software = found.is_software();
    info.memory_bytes = found.memory_bytes;
    info.subgroup_size = found.features.subgroup_size;
    info.features = found.features.names;
    out.push_back(std::move(info));
  }
  return out;
}

std::uint64_t Backends::free_memory(int index) {
  std::unique_lock lock(mutex_);
  const auto i = static_cast<std::size_t>(index);
  if (i < places_.size() && !places_[i].empty) return vulkan::free_memory(places_[i].found.physical);
  lock.unlock();
  throw Error(ErrorCode::unsupported, absence(index));
}

std::string Backends::absence(int index) {
  std::vector<std::string> names{"the cpu"};
  for (const DeviceInfo& info : devices())
    names.push_back(fmt::format("{} ({})", nibble::to_string(info.device), info.name));
  const std::string& why = Instance::get().absence();
  return fmt::format("[device] vulkan:{}: there is only {}{}{}", index, fmt::join(names, ", "), why.empty() ? "" : "; ",
                     why);
}

Device Backends::adopt(const VulkanHandles& handles) {
  if (!handles.instance || !handles.physical_device || !handles.device || !handles.queue) {
    throw Error(ErrorCode::invalid_argument,
                "[device] adopting one takes an instance, a physical device, a device and a queue");
  }
  Instance::get().use_loader_of(handles.instance);
  FoundDevice found = describe_device(handles.physical_device);
  if (!found.features.lacking.empty()) {
    throw Error(ErrorCode::unsupported,
                fmt::format("[device] {} lacks {}", found.name, fmt::join(found.features.lacking, ", ")));
  }
  found.features.leave_out_optional();
  const std::lock_guard lock(mutex_);
  if (places_.size() >= kMostDevices) throw Error(ErrorCode::unsupported, "[device] there are too many devices");
  places_.push_back({std::move(found), handles, nullptr});
  return device_at(places_.size() - 1);
}

void Backends::release(Device device) {
  const std::lock_guard lock(mutex_);
  const std::size_t i = device.index;
  if (device.type != DeviceType::vulkan || i >= places_.size() || !places_[i].host || places_[i].empty) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("[device] {}: is no device that was adopted", nibble::to_string(device)));
  }
  Place& place = places_[i];
  if (place.backend) place.backend->close();
  place.backend.reset();
  place.empty = true;
}

VulkanBackend& backend_of(const Tensor& t) { return Backends::get().at(t.device().index); }

}  // namespace vulkan

std::vector<DeviceInfo> vulkan_devices() { return vulkan::Backends::get().devices(); }
Backend& vulkan_backend(int index) { return vulkan::Backends::get().at(index); }

}  // namespace nibble::inline v0::detail
