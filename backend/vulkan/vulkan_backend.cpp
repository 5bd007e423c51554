#include "backend/vulkan/vulkan_backend.h"

#include "quant_tensor/formats/format.h"
#include "quant_tensor/tensor/counters.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble::inline v0::detail::vulkan {

void VulkanBackend::count_operation() { count(counters().ops_vulkan[context_.device().index], 1); }

Tensor VulkanBackend::numbers_of(const Format& format) {
  if (!format.numbers.data) return {};
  const std::lock_guard lock(mutex_);
  Tensor& numbers = numbers_[&format];
  if (!numbers.defined()) {
    numbers = allocate({static_cast<std::int64_t>(format.numbers.bytes)}, DType::u8);
    upload(format.numbers.data, numbers);
  }
  return numbers;
}

void VulkanBackend::close() {
  numbers_.clear();
  context_.close();
}

void VulkanBackend::place(const Tensor& host, const Tensor& out) {
  count(counters().bytes_moved, host.nbytes());
  if (out.is_contiguous()) return upload(bytes_of(host), out);
  const Tensor between = allocate(out.shape(), out.dtype());
  upload(bytes_of(host), between);
  copy(between, out);
}

}  // namespace nibble::inline v0::detail::vulkan
