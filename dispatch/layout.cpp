#include "dispatch/layout.h"

#include "backend/common/backend.h"
#include "dispatch/route.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace detail {

std::optional<Strides> reshape_strides(const Shape& shape, const Strides& strides, const Shape& to) {
  // Old and new axes are matched in the smallest groups with equal products; within a group the old axes must lie
  // evenly, and then the new ones divide that even run.
  Strides out = Shape::filled(to.rank(), 0);
  int old_axis = 0, new_axis = 0;
  while (old_axis < shape.rank() || new_axis < to.rank()) {
    if (old_axis < shape.rank() && shape[old_axis] == 1) {
      ++old_axis;
      continue;
    }
    if (new_axis < to.rank() && to[new_axis] == 1) {
      out[new_axis++] = 0;
      continue;
    }
    int old_end = old_axis + 1, new_end = new_axis + 1;
    std::int64_t old_size = shape[old_axis], new_size = to[new_axis];
    while (old_size != new_size) {
      if (old_size < new_size) {
        old_size *= shape[old_end++];
      } else {
        new_size *= to[new_end++];
      }
    }
    std::int64_t stride = 0, expected = 0;
    bool first = true;
    for (int a = old_end - 1; a >= old_axis; --a) {
      if (shape[a] == 1) continue;
      if (first) stride = strides[a];
      if (!first && strides[a] != expected) return std::nullopt;
      expected = strides[a] * shape[a];
      first = false;
    }
    for (int a = new_end - 1; a >= new_axis; --a) {
      out[a] = stride;
      stride *= to[a];
    }
    old_axis = old_end;
    new_axis = new_end;
  }
  return out;
}

Strides broadcast_strides(const Shape& from, const Strides& strides, const Shape& to) {
  Strides out = Shape::filled(to.rank(), 0);
  const int lead = to.rank() - from.rank();
  for (int a = 0; a < from.rank(); ++a) out[lead + a] = from[a] == 1 ? 0 : strides[a];
  return out;
}

Tensor broadcast_view(const Tensor& x, const Shape& shape) {
  const TensorImpl& impl = x.impl();
  if (impl.shape == shape) return x;
  return make_view(x, shape, broadcast_strides(impl.shape, impl.strides, shape), impl.offset);
}

Tensor permute(const Tensor& x, const Axes& order) {
  const TensorImpl& impl = x.impl();
  Shape shape = impl.shape;
  Strides strides = impl.strides;
  int packed_axis = impl.packing ? impl.packing->axis : -1;
  for (int a = 0; a < order.rank(); ++a) {
    const int from = static_cast<int>(order[a]);
    shape[a] = impl.shape[from];
    strides[a] = impl.strides[from];
    if (impl.packing && from == impl.packing->axis) packed_axis = a;
  }
  if (!impl.packing || packed_axis == impl.packing->axis) return make_view(x, shape, strides, impl.offset);
  auto packing = make_cached<Packing>(*impl.packing);
  packing->axis = packed_axis;
  return make_tensor({shape, strides, impl.offset, impl.dtype, impl.storage, std::move(packing)});
}

Tensor over_other_parts(const Tensor& packed, const std::function<Tensor(const Tensor&)>& made) {
  const TensorImpl& impl = packed.impl();
  auto packing = make_cached<Packing>(*impl.packing);
  for (Tensor& component : packing->components) component = made(component);
  for (Tensor* order : {&packing->input_order, &packing->input_places}) {
    if (order->defined()) *order = made(*order);
  }
  return make_tensor({impl.shape, impl.strides, impl.offset, impl.dtype, nullptr, std::move(packing)});
}

Tensor move_last(const Tensor& x, int axis) {
  if (axis == x.ndim() - 1) return x;
  Axes order;
  for (int a = 0; a < x.ndim(); ++a) {
    if (a != axis) order.push_back(a);
  }
  order.push_back(axis);
  return permute(x, order);
}

Tensor move_back(const Tensor& x, int axis) {
  const int last = x.ndim() - 1;
  if (axis == last) return x;
  Axes order;
  for (int a = 0; a < last; ++a) order.push_back(a);
  order.insert(axis, last);
  return permute(x, order);
}

Tensor contiguous_dense(const Tensor& x) {
  if (x.is_contiguous()) return x;
  Backend& backend = backend_for(x.device());
  Tensor out = backend.allocate(x.shape(), x.dtype());
  backend.copy(x, out);
  return out;
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
