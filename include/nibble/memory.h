#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "nibble/tensor.h"

/// Memory shared with a host: tensors over its strided arrays, its view of ours, and its own allocator.
namespace nibble {
inline namespace v0 {

/// Where the elements of a dense tensor lie: element (i, j, …) at data + (i·strides[0] + j·strides[1] + …)·itemsize.
struct MemoryLayout {
  const void* data = nullptr;
  Strides strides;  ///< in elements; 0 where broadcast, negative where flipped
};
/// Of a dense tensor in host memory, after waiting for whatever computes it; valid while a tensor shares the storage.
/// Throws Error(unsupported) for a packed tensor, whose components have addresses, and for one on a device.
NIBBLE_API MemoryLayout memory_layout(const Tensor& tensor);

/// from_borrowed of an array with any strides, in elements: a view without a copy. Throws Error(invalid_argument) where
/// shape and strides do not fit each other, or name more than the address space.
NIBBLE_API Tensor from_borrowed(std::shared_ptr<const void> owner, const void* data, const Shape& shape,
                                const Strides& strides, DType dtype);

/// A host's own memory.
struct Allocator {
  /// `bytes` at an address that `alignment` divides; null when there is none: Error(out_of_memory). May throw.
  std::function<void*(std::size_t bytes, std::size_t alignment)> allocate;
  /// Must not throw; called on any thread, when the last tensor over the memory has gone.
  std::function<void(void* data, std::size_t bytes)> free;
};

/// While it lives, tensors that this thread makes on the CPU lie in the allocator's memory. They keep it alive. Scratch
/// memory of kernels is nibble's own.
class NIBBLE_API with_allocator {
 public:
  /// Throws Error(invalid_argument) unless both functions are set; null: nibble's own again.
  explicit with_allocator(std::shared_ptr<const Allocator> allocator);
  ~with_allocator();
  with_allocator(const with_allocator&) = delete;
  with_allocator& operator=(const with_allocator&) = delete;

 private:
  std::shared_ptr<const Allocator> allocator_;
  const std::shared_ptr<const Allocator>* previous_;
};

}  // namespace v0
}  // namespace nibble
