#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "nibble/device.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// The bytes under one or more tensors. `use_count()` of its shared_ptr is the number of live tensors over it,
/// which is what decides whether update_slice may write in place.
class Storage {
 public:
  /// `release` is called once with the destruction of the storage.
  Storage(void* data, std::size_t bytes, Device device, bool writable, std::function<void()> release)
      : data_(data), bytes_(bytes), device_(device), writable_(writable), release_(std::move(release)) {}
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  std::byte* data() const noexcept { return static_cast<std::byte*>(data_); }
  std::size_t bytes() const noexcept { return bytes_; }
  Device device() const noexcept { return device_; }
  /// False for memory that is not ours: mapped files, a host's buffers.
  bool writable() const noexcept { return writable_; }

 private:
  void* data_;
  std::size_t bytes_;
  Device device_;
  bool writable_;
  std::function<void()> release_;
};

/// Host memory from the caching allocator, 64-byte aligned. Throws Error(out_of_memory).
std::shared_ptr<Storage> allocate_host(std::size_t bytes);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
