#include "backend/cpu/cpu_backend.h"

#include <cstring>

#include "backend/cpu/codec.h"
#include "backend/cpu/matmul.h"
#include "backend/cpu/units/select.h"
#include "quant_tensor/tensor/counters.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace detail {

Tensor CpuBackend::allocate(const Shape& shape, DType dtype) { return make_dense(shape, dtype); }

void CpuBackend::upload(const void* data, const Tensor& to) {
  if (to.numel() > 0) std::memcpy(mutable_bytes(to), data, to.nbytes());
}
void CpuBackend::download(const Tensor& from, void* out) {
  if (from.numel() > 0) std::memcpy(out, bytes_of(from), from.nbytes());
}
void CpuBackend::count_operation() { count(counters().ops_cpu, 1); }

std::span<const MatmulKernel> CpuBackend::matmul_kernels() { return cpu_matmul_kernels(); }
void CpuBackend::dequantize(const Tensor& packed, const Tensor& out) { cpu_dequantize(packed, out); }
void CpuBackend::quantize(const Tensor& w, const Format& format, std::span<const Tensor> components) {
  cpu_quantize(w, format, components);
}

Backend& cpu_backend() {
  // A NIBBLE_ISA that names no unit of this machine is said at the first operation, whichever it is.
  static CpuBackend backend = (static_cast<void>(cpu::current_unit()), CpuBackend());
  return backend;
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
