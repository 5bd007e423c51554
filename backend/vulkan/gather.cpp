#include "backend/vulkan/numbers.h"
#include "backend/vulkan/vulkan_backend.h"
#include "backend/vulkan/walk.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble::inline v0::detail::vulkan {

void VulkanBackend::gather(std::string_view op, const Tensor& in, const Strides& in_strides, std::int64_t count,
                           std::int64_t step, const Tensor& indices, const Strides& index_strides, const Tensor& out) {
  const Shape& shape = out.shape();
  const Variant variant{"take", kElementWorkgroup, {number(word_of(itemsize(in.dtype()))), number(indices.dtype())}};
  const Tensor reads[] = {in, indices};
  each_walk(shape,
            {make_view(in, shape, in_strides, in.impl().offset),
             make_view(indices, shape, index_strides, indices.impl().offset), out},
            [&](Walk& walk) {
              walk.address[3] = context_.error_word();
              walk.extra = {static_cast<std::uint32_t>(count), context_.ticket(op, "x", in, count)};
              set_extra(walk, 2, static_cast<std::uint64_t>(step));
              context_.dispatch(variant, walk.bytes(), context_.spread(workgroups(walk.count())), reads, {&out, 1});
            });
}

void VulkanBackend::take(const Tensor& in, const Tensor& indices, const Tensor& out) {
  if (in.is_quantized()) return take_packed(in, indices, out);
  const std::int64_t count = in.shape()[0], step = in.impl().strides[0];
  if (count >= (std::int64_t{1} << 32)) return HostFallback::take(in, indices, out);
  // Every place of (*indices, rest…): x steps through the rest only, indices through theirs only.
  const int lead = indices.ndim();
  Strides rest = Shape::filled(out.ndim(), 0), places = rest;
  for (int a = 0; a < lead; ++a) places[a] = indices.impl().strides[a];
  for (int a = lead; a < out.ndim(); ++a) rest[a] = in.impl().strides[a - lead + 1];
  gather("take", in, rest, count, step, indices, places, out);
}

void VulkanBackend::take_along_last(const Tensor& in, const Tensor& indices, const Tensor& out) {
  const int last = in.ndim() - 1;
  const std::int64_t count = in.shape()[last];
  if (count >= (std::int64_t{1} << 32)) return HostFallback::take_along_last(in, indices, out);
  Strides rest = in.impl().strides;
  rest[last] = 0;
  gather("take_along_axis", in, rest, count, in.impl().strides[last], indices, indices.impl().strides, out);
}

bool VulkanBackend::update_slice(const Tensor& rows, const Tensor& starts, int axis, const Tensor& out) {
  if (out.is_quantized()) return update_packed(rows, starts, axis, out);
  const bool converts = is_arithmetic_float(rows.dtype()) && is_arithmetic_float(out.dtype());
  if (rows.dtype() != out.dtype() && !converts) return false;
  const DType word = word_of(itemsize(out.dtype()));
  const bool moves = rows.dtype() == out.dtype();
  const Variant variant{
      "update", kElementWorkgroup, {number(moves ? word : rows.dtype()), number(moves ? word : out.dtype())}};
  const Shape& shape = rows.shape();
  Strides by_entry = Shape::filled(shape.rank(), 0);
  if (starts.ndim() == 1) by_entry[0] = starts.impl().strides[0];
  const std::int64_t last = out.shape()[axis] - shape[axis], step = out.impl().strides[axis];
  const Tensor reads[] = {rows, starts};
  each_walk(shape,
            {rows, make_view(out, shape, out.impl().strides, out.impl().offset),
             make_view(starts, shape, by_entry, starts.impl().offset)},
            [&](Walk& walk) {
              walk.address[3] = context_.error_word();
              walk.extra = {static_cast<std::uint32_t>(last), context_.ticket("update_slice", "x", out, last + 1)};
              set_extra(walk, 2, static_cast<std::uint64_t>(step));
              context_.dispatch(variant, walk.bytes(),
                                context_.spread((walk.count() + kElementWorkgroup - 1) / kElementWorkgroup), reads,
                                {&out, 1});
            });
  return true;
}

}  // namespace nibble::inline v0::detail::vulkan
