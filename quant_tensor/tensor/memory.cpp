#include "nibble/memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "quant_tensor/tensor/counters.h"
#include "quant_tensor/tensor/host_memory.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace {

constexpr std::size_t kAlignment = 64;

thread_local const std::shared_ptr<const Allocator>* host_allocator = nullptr;

/// The elements that an array spans, relative to its first: lowest and highest, and one past that.
struct Extent {
  std::int64_t low = 0, end = 0;
};

/// False where the numbers leave 64 bits.
bool extent_of(const Shape& shape, const Strides& strides, std::int64_t item, Extent* extent) {
  std::int64_t low = 0, high = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    std::int64_t reach = 0, bytes = 0;
    std::int64_t& side = strides[axis] < 0 ? low : high;
    if (__builtin_mul_overflow(shape[axis] - 1, strides[axis], &reach) || __builtin_add_overflow(side, reach, &side) ||
        __builtin_mul_overflow(side, item, &bytes)) {
      return false;
    }
  }
  *extent = {low, high + 1};
  return true;
}

}  // namespace

MemoryLayout memory_layout(const Tensor& tensor) {
  if (tensor.is_quantized() || tensor.device() != Device::cpu()) {
    throw Error(ErrorCode::unsupported,
                fmt::format("[memory] {} on {}: only a dense tensor in host memory has an address; a packed one has "
                            "components, and to() copies between devices",
                            describe(tensor), to_string(tensor.device())));
  }
  return {detail::bytes_of(tensor), tensor.impl().strides};
}

Tensor from_borrowed(std::shared_ptr<const void> owner, const void* data, const Shape& shape, const Strides& strides,
                     DType dtype) {
  const auto refuse = [&](const char* rule) {
    throw Error(ErrorCode::invalid_argument, fmt::format("[from_borrowed] {} {} with strides {}: {}", name(dtype),
                                                         to_string(shape), to_string(strides), rule));
  };
  if (shape.rank() != strides.rank()) refuse("there must be a stride for each axis");
  if (shape.numel() == 0) return from_borrowed(std::move(owner), data, shape, dtype);
  for (const std::int64_t size : shape) {
    if (size < 0) refuse("sizes must not be negative");
  }
  const auto item = static_cast<std::int64_t>(itemsize(dtype));
  Extent extent;
  if (!extent_of(shape, strides, item, &extent)) refuse("it spans more than the address space");
  // The storage begins where the lowest element lies, and is marked read-only, so the const of the host's memory holds.
  auto* begin = static_cast<std::byte*>(const_cast<void*>(data)) + extent.low * item;
  const auto bytes = static_cast<std::size_t>((extent.end - extent.low) * item);
  auto storage = std::make_shared<detail::Storage>(begin, bytes, Device::cpu(), false,
                                                   [owner = std::move(owner)]() mutable { owner.reset(); });
  return detail::make_tensor({shape, strides, -extent.low, dtype, std::move(storage), nullptr});
}

with_allocator::with_allocator(std::shared_ptr<const Allocator> allocator)
    : allocator_(std::move(allocator)), previous_(host_allocator) {
  if (allocator_ && (!allocator_->allocate || !allocator_->free)) {
    throw Error(ErrorCode::invalid_argument, "[allocator] allocate and free must both be set");
  }
  host_allocator = allocator_ ? &allocator_ : nullptr;
}
with_allocator::~with_allocator() { host_allocator = previous_; }

namespace detail {

std::shared_ptr<Storage> allocate_from_host(std::size_t bytes) {
  if (!host_allocator) return nullptr;
  const std::shared_ptr<const Allocator> allocator = *host_allocator;
  void* data = allocator->allocate(std::max<std::size_t>(bytes, 1), kAlignment);
  if (!data) {
    throw Error(ErrorCode::out_of_memory, fmt::format("[allocate] {} bytes: the host's allocator has none", bytes));
  }
  count_allocated(bytes);
  return std::make_shared<Storage>(data, bytes, Device::cpu(), true, [data, bytes, allocator] {
    count_freed(bytes);
    allocator->free(data, std::max<std::size_t>(bytes, 1));
  });
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
