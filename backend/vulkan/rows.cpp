#include <bit>

#include "backend/vulkan/numbers.h"
#include "backend/vulkan/vulkan_backend.h"
#include "backend/vulkan/walk.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

/// The entries that the last axis is passed over for: their own shape, and how an operand's rows lie.
Shape row_shape(const Tensor& t) {
  Shape shape = t.shape();
  shape.erase(shape.rank() - 1);
  return shape;
}
Tensor row_starts(const Tensor& t) {
  Strides strides = t.impl().strides;
  strides.erase(strides.rank() - 1);
  return make_view(t, row_shape(t), strides, t.impl().offset);
}
std::int64_t last_stride(const Tensor& t) { return t.impl().strides[t.ndim() - 1]; }

/// Rows that a workgroup passes over with 32 bits.
bool is_walkable(const Tensor& t) {
  return t.ndim() > 0 && t.shape().back() < (std::int64_t{1} << 31) &&
         last_stride(t) == static_cast<std::int32_t>(last_stride(t));
}

/// A workgroup of one subgroup has a row: rows are many, and nothing has to wait.
std::uint32_t row_workgroup(const Context& context) { return context.found().features.subgroup_size; }

}  // namespace

void VulkanBackend::reduce(ReduceOp op, const Tensor& in, const Tensor& out) {
  const bool sums_to_float = op != ReduceOp::sum || is_floating(in.dtype()) == is_floating(out.dtype());
  if (!is_walkable(in) || !sums_to_float) return HostFallback::reduce(op, in, out);
  const Tensor rows = row_starts(in);
  const std::uint32_t lanes = row_workgroup(context_);
  const Tensor results = make_view(out, rows.shape(), contiguous_strides(rows.shape()), out.impl().offset);
  each_walk(rows.shape(), {rows, results}, [&](Walk& walk) {
    walk.extra = {static_cast<std::uint32_t>(in.shape().back()), static_cast<std::uint32_t>(last_stride(in)), 0, 0};
    context_.dispatch({"reduce", lanes, {number(op), number(in.dtype()), number(out.dtype())}}, walk.bytes(),
                      context_.spread(walk.count()), {&in, 1}, {&out, 1});
  });
}

void VulkanBackend::softmax(const Tensor& in, const Tensor& out, bool log) {
  if (!is_walkable(in)) return HostFallback::softmax(in, out, log);
  const Tensor from = row_starts(in), to = row_starts(out);
  each_walk(from.shape(), {from, to}, [&](Walk& walk) {
    walk.extra = {static_cast<std::uint32_t>(in.shape().back()), static_cast<std::uint32_t>(last_stride(in)), 0, 0};
    context_.dispatch({"softmax", row_workgroup(context_), {number(in.dtype()), log}}, walk.bytes(),
                      context_.spread(walk.count()), {&in, 1}, {&out, 1});
  });
}

void VulkanBackend::normalize(const Tensor& x, const Tensor& weight, const Tensor& bias, bool centred, double eps,
                              const Tensor& out) {
  const auto dtype = [](const Tensor& t) { return number(t.defined() ? t.dtype() : DType::f32); };
  const Variant variant{"norm", row_workgroup(context_), {number(x.dtype()), dtype(weight), centred, dtype(bias)}};
  const Tensor from = row_starts(x), to = row_starts(out);
  const Tensor reads[] = {x, weight, bias};
  each_walk(from.shape(), {from, Tensor(), Tensor(), to}, [&](Walk& walk) {
    std::size_t k = 1;
    for (const Tensor& t : {weight, bias}) {
      if (t.defined()) {
        walk.address[k] = address_of(t);
        walk.stride[k][0] = static_cast<std::int32_t>(last_stride(t));
      }
      ++k;
    }
    walk.extra = {static_cast<std::uint32_t>(x.shape().back()), static_cast<std::uint32_t>(last_stride(x)),
                  std::bit_cast<std::uint32_t>(static_cast<float>(eps)), 0};
    context_.dispatch(variant, walk.bytes(), context_.spread(walk.count()), reads, {&out, 1});
  });
}

void VulkanBackend::rms_norm(const Tensor& x, const Tensor& weight, double eps, const Tensor& out) {
  if (!is_walkable(x)) return HostFallback::rms_norm(x, weight, eps, out);
  normalize(x, weight, {}, false, eps, out);
}

void VulkanBackend::layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps,
                               const Tensor& out) {
  if (!is_walkable(x)) return HostFallback::layer_norm(x, weight, bias, eps, out);
  normalize(x, weight, bias, true, eps, out);
}

void VulkanBackend::rope(const Tensor& x, const Tensor& positions, const RopeFrequencies& frequencies, bool interleaved,
                         const Tensor& out) {
  const Tensor& inverse = frequencies.inverse;
  if (x.ndim() != 4 || x.numel() >= (1 << 30)) return HostFallback::rope(x, positions, frequencies, interleaved, out);
  Walk walk;
  walk.address = {address_of(x), address_of(inverse), address_of(positions), address_of(out)};
  for (int a = 0; a < 4; ++a) {
    const auto at = static_cast<std::size_t>(a);
    walk.size[at] = static_cast<std::uint32_t>(x.shape()[a]);
    walk.stride[0][at] = static_cast<std::int32_t>(x.impl().strides[a]);
  }
  walk.stride[1][3] = static_cast<std::int32_t>(last_stride(inverse));
  walk.stride[2] = {static_cast<std::int32_t>(positions.impl().strides[0]), 0,
                    static_cast<std::int32_t>(positions.impl().strides[1]), 0};
  const std::int64_t pairs = inverse.numel(), depth = x.shape().back();
  walk.extra = {static_cast<std::uint32_t>(pairs), static_cast<std::uint32_t>(depth),
                std::bit_cast<std::uint32_t>(frequencies.scale), 0};
  const auto invocations = static_cast<std::uint64_t>(row_shape(x).numel() * (depth - pairs));
  if (invocations == 0) return;
  const Tensor reads[] = {x, inverse, positions};
  context_.dispatch({"rope", kElementWorkgroup, {number(x.dtype()), interleaved}}, walk.bytes(),
                    context_.spread((invocations + kElementWorkgroup - 1) / kElementWorkgroup), reads, {&out, 1});
}

}  // namespace nibble::inline v0::detail::vulkan
