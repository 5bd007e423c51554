#include <cstring>

#include "backend/vulkan/numbers.h"
#include "backend/vulkan/vulkan_backend.h"
#include "backend/vulkan/walk.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

/// What shaders/elements.glsl converts: not f64 and 8-bit floats.
bool is_convertible(DType dtype) { return dtype != DType::f64 && dtype != DType::f8_e4m3 && dtype != DType::f8_e5m2; }

}  // namespace

void VulkanBackend::each_element(const Variant& variant, const Shape& shape, std::initializer_list<Tensor> operands,
                                 const Tensor& out, std::array<std::uint32_t, 4> extra) {
  const std::span<const Tensor> all(operands);
  each_walk(shape, operands, [&](Walk& walk) {
    walk.extra = extra;
    context_.dispatch(variant, walk.bytes(),
                      context_.spread((walk.count() + kElementWorkgroup - 1) / kElementWorkgroup),
                      all.first(all.size() - 1), {&out, 1});
  });
}

void VulkanBackend::copy(const Tensor& in, const Tensor& out) {
  const bool moves = in.dtype() == out.dtype();
  if (!moves && !(is_convertible(in.dtype()) && is_convertible(out.dtype()))) return HostFallback::copy(in, out);
  const DType from = moves ? word_of(itemsize(in.dtype())) : in.dtype(), to = moves ? from : out.dtype();
  each_element({"copy", kElementWorkgroup, {number(from), number(to)}}, out.shape(), {in, out}, out);
}

void VulkanBackend::fill(const Tensor& out, Scalar value) {
  // The host knows how a number becomes an element.
  const Tensor element = make_dense({}, out.dtype());
  cpu_backend().fill(element, value);
  std::array<std::uint32_t, 4> extra{};
  std::memcpy(extra.data(), bytes_of(element), itemsize(out.dtype()));
  each_element({"fill", kElementWorkgroup, {number(word_of(itemsize(out.dtype())))}}, out.shape(), {out}, out, extra);
}

void VulkanBackend::arange(const Tensor& out, Scalar start, Scalar step) {
  const bool integers = start.kind() != Scalar::Kind::floating && step.kind() != Scalar::Kind::floating;
  const bool takes = integers && out.numel() < (1 << 30) && !is_floating(out.dtype()) && out.dtype() != DType::boolean;
  if (!takes) return HostFallback::arange(out, start, step);
  std::array<std::uint32_t, 4> extra{};
  const std::int64_t numbers[] = {start.as_int(), step.as_int()};
  std::memcpy(extra.data(), numbers, sizeof numbers);
  each_element({"arange", kElementWorkgroup, {number(out.dtype())}}, out.shape(), {out}, out, extra);
}

void VulkanBackend::unary(UnaryOp op, const Tensor& in, const Tensor& out) {
  if (op == UnaryOp::erf && is_small_float(in.dtype())) return HostFallback::unary(op, in, out);
  each_element({"unary", kElementWorkgroup, {number(op), number(in.dtype())}}, out.shape(), {in, out}, out);
}

void VulkanBackend::binary(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& out) {
  const bool exact_remainder = op == BinaryOp::floor_divide || op == BinaryOp::remainder || op == BinaryOp::power;
  if (exact_remainder && is_small_float(a.dtype())) return HostFallback::binary(op, a, b, out);
  each_element({"binary", kElementWorkgroup, {number(op), number(a.dtype())}}, out.shape(), {a, b, out}, out);
}

void VulkanBackend::where(const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& out) {
  each_element({"where", kElementWorkgroup, {number(word_of(itemsize(out.dtype())))}}, out.shape(),
               {condition, a, b, out}, out);
}

}  // namespace nibble::inline v0::detail::vulkan
