#include "dispatch/input_order.h"

#include "backend/common/backend.h"
#include "dispatch/constants.h"
#include "dispatch/layout.h"
#include "dispatch/route.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

Tensor gathered(const Tensor& x, const Tensor& entries) {
  Backend& backend = backend_for(x.device());
  Tensor out = backend.allocate(x.shape(), x.dtype());
  const Tensor here = entries.device() == x.device() ? entries : copy_on(x.device(), entries);
  if (out.numel() > 0) backend.take_along_last(x, broadcast_view(here, x.shape()), out);
  return out;
}

}  // namespace

Tensor in_stored_order(const Tensor& x, const Tensor& w) { return gathered(x, w.packing()->input_order); }

Tensor in_axis_order(const Tensor& y, const Tensor& w, int axis) {
  axis = normalize_axis("take", axis, y.ndim());
  return move_back(gathered(move_last(y, axis), w.packing()->input_places), axis);
}

void decode_into(const Tensor& packed, const Tensor& out) {
  Backend& backend = backend_for(packed.device());
  if (!has_input_order(packed)) return backend.dequantize(packed, out);
  const Tensor stored = backend.allocate(out.shape(), out.dtype());
  backend.dequantize(as_stored(packed), stored);
  backend.copy(in_axis_order(stored, packed, packed.packing()->axis), out);
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
