#include "dispatch/layout.h"
#include "dispatch/route.h"
#include "nibble/ops.h"
#include "quant_tensor/tensor/counters.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace {

using namespace detail;

/// The elements of a dense tensor in row-major order on another device, by way of the host unless one of them is it.
Tensor move_dense(const Tensor& x, Device target) {
  const Tensor from = contiguous_dense(x);
  Tensor out = backend_for(target).allocate(x.shape(), x.dtype());
  count(counters().bytes_moved, x.nbytes());
  if (target == Device::cpu()) {
    backend_for(x.device()).download(from, mutable_bytes(out));
  } else if (x.device() == Device::cpu()) {
    backend_for(target).upload(bytes_of(from), out);
  } else {
    const Tensor between = from.to(Device::cpu());
    backend_for(target).upload(bytes_of(between), out);
  }
  return out;
}

}  // namespace

Tensor Tensor::to(Device target) const {
  if (device() == target) return *this;
  const auto move_to = [&](const Tensor& dense) { return move_dense(dense, target); };
  return is_quantized() ? over_other_parts(*this, move_to) : move_to(*this);
}

Tensor from_data(const void* data, const Shape& shape, DType dtype) {
  checked_bytes("from_data", shape, dtype);
  Backend& backend = backend_for(options().device);
  Tensor out = backend.allocate(shape, dtype);
  backend.upload(data, out);
  return out;
}

}  // namespace v0
}  // namespace nibble
