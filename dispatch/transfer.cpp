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

/// The same view of the same packed rows, whose components have moved: every byte once.
Tensor move_packed(const Tensor& x, Device target) {
  const TensorImpl& impl = x.impl();
  auto packing = make_cached<Packing>(*impl.packing);
  for (Tensor& component : packing->components) component = move_dense(component, target);
  for (Tensor* order : {&packing->input_order, &packing->input_places}) {
    if (order->defined()) *order = move_dense(*order, target);
  }
  return make_tensor({impl.shape, impl.strides, impl.offset, impl.dtype, nullptr, std::move(packing)});
}

}  // namespace

Tensor Tensor::to(Device target) const {
  if (device() == target) return *this;
  return is_quantized() ? move_packed(*this, target) : move_dense(*this, target);
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
