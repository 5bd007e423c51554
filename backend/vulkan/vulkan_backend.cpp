#include "backend/vulkan/vulkan_backend.h"

#include "quant_tensor/tensor/counters.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble::inline v0::detail::vulkan {

void VulkanBackend::count_operation() { count(counters().ops_vulkan[context_.device().index], 1); }

void VulkanBackend::place(const Tensor& host, const Tensor& out) {
  count(counters().bytes_moved, host.nbytes());
  if (out.is_contiguous()) return upload(bytes_of(host), out);
  const Tensor between = allocate(out.shape(), out.dtype());
  upload(bytes_of(host), between);
  copy(between, out);
}

}  // namespace nibble::inline v0::detail::vulkan
