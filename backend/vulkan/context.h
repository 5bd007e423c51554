#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "backend/common/repeatable.h"
#include "backend/vulkan/commands.h"
#include "backend/vulkan/memory.h"
#include "backend/vulkan/pipelines.h"
#include "backend/vulkan/staging.h"
#include "nibble/tensor.h"
#include "quant_tensor/tensor/storage.h"

namespace nibble::inline v0::detail::vulkan {

class Context;

/// The bytes of tensors in device memory; data() is an address of the device's.
class DeviceStorage final : public Storage {
 public:
  DeviceStorage(Context& context, Region region, std::size_t bytes);
  ~DeviceStorage();

  Region region;

 private:
  Context& context_;
};

/// Every operation of one device goes through here, from any thread: it records, and waits only where bytes are read.
class Context {
 public:
  Context(Device device, const FoundDevice& found, const VulkanHandles* host);

  Device device() const { return device_; }
  const FoundDevice& found() const { return gpu_.found(); }

  /// A new contiguous tensor, uninitialised.
  Tensor allocate(const Shape& shape, DType dtype);
  /// Bytes into a contiguous tensor, and out of one, in row-major order.
  void upload(const void* data, const Tensor& to);
  void download(const Tensor& from, void* out);

  /// Records that the bytes of one contiguous tensor go over another's.
  void copy(const Tensor& from, const Tensor& to);
  /// Records one dispatch; tensors packed or dense, undefined ones are passed over.
  void dispatch(const Variant& variant, std::span<const std::byte> arguments, const Commands::Groups& groups,
                std::span<const Tensor> reads, std::span<const Tensor> writes,
                std::span<const VkBufferView> texels = {});
  /// The texel views through which a dense tensor is read, and where they begin; none where the device has no use for
  /// them, or they do not reach so far.
  struct Texels {
    TexelViews views;
    VkDeviceAddress begin;
  };
  std::optional<Texels> texels(const Tensor& t);
  /// For the host's own work on the device: see nibble/vulkan.h.
  void wait_for(Gpu::Moment moment);
  void signal(Gpu::Moment moment);
  std::vector<KernelTime> profile(const std::function<void()>& work);
  /// Calls `work`; what it recorded, or null where not all of it can be run again without it.
  std::unique_ptr<Repeatable> record(const std::function<void()>& work);
  VulkanBuffer buffer_of(const Tensor& contiguous);
  /// Waits for everything; nothing may follow. Throws Error(invalid_argument) where tensors live here.
  void close();
  Gpu& gpu() { return gpu_; }

  /// Workgroups in as many dimensions as it takes.
  Commands::Groups spread(std::uint64_t workgroups) const;

  /// Where kernels report an index that is out of range: the address of a word for the ticket, then two for the index.
  VkDeviceAddress error_word() const { return error_.address(); }
  /// A number that a kernel of `op` reports when it meets an index beyond `count` entries; the Error that the next wait
  /// throws names the operand.
  std::uint32_t ticket(std::string_view op, std::string_view operand, const Tensor& t, std::int64_t count);

  MemoryStats memory_stats();
  std::uint64_t submissions();
  void release(const Region& region) noexcept;

 private:
  /// What an Error would say of an operand that may be gone by then; its text is made only if it is needed.
  struct Ticket {
    std::uint32_t number;
    std::string_view op, operand, type;
    Shape shape;
    std::int64_t count;
    std::uint64_t batch;
  };
  class Kept;
  std::uint64_t operations() const;
  void wait(std::uint64_t batch);
  void throw_reported();

  std::recursive_mutex mutex_;
  Device device_;
  Gpu gpu_;
  Memory memory_;
  Commands commands_;
  Pipelines pipelines_;
  Staging staging_;
  Region error_;
  std::uint64_t own_bytes_ = 0;  // what is taken without any tensor
  std::uint32_t last_ticket_ = 0;
  std::deque<Ticket> tickets_;
  std::vector<Kept*> kept_;  // that live
  Kept* keeping_ = nullptr;  // what is being recorded
};

}  // namespace nibble::inline v0::detail::vulkan
