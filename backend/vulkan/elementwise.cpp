#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "backend/vulkan/numbers.h"
#include "backend/vulkan/vulkan_backend.h"
#include "backend/vulkan/walk.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

constexpr std::int64_t kMostInvocations = std::int64_t{1} << 30;

/// A double as the sum of two floats, which shaders compute with.
std::array<float, 2> pair_of(double x) {
  const auto first = static_cast<float>(x);
  return {first, std::isfinite(first) ? static_cast<float>(x - static_cast<double>(first)) : 0.0f};
}
std::uint64_t bits_of(std::array<float, 2> pair) { return std::bit_cast<std::uint64_t>(pair); }

}  // namespace

void VulkanBackend::each_element(const Variant& variant, const Shape& shape, std::initializer_list<Tensor> operands,
                                 const Tensor& out, std::array<std::uint32_t, 4> extra) {
  const std::span<const Tensor> all(operands);
  each_walk(shape, operands, [&](Walk& walk) {
    walk.extra = extra;
    context_.dispatch(variant, walk.bytes(), context_.spread(workgroups(walk.count())), all.first(all.size() - 1),
                      {&out, 1});
  });
}

void VulkanBackend::copy(const Tensor& in, const Tensor& out) {
  const bool moves = in.dtype() == out.dtype();
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
  const bool floats = is_arithmetic_float(out.dtype());
  const bool takes = (floats || (integers && !is_floating(out.dtype()))) && out.dtype() != DType::boolean;
  if (!takes || out.numel() >= kMostInvocations) return HostFallback::arange(out, start, step);
  const auto word = [&](Scalar x) {
    return floats ? bits_of(pair_of(x.as_double())) : static_cast<std::uint64_t>(x.as_int());
  };
  const std::array<std::uint64_t, 2> numbers{word(start), word(step)};
  each_element({"arange", kElementWorkgroup, {number(out.dtype())}}, out.shape(), {out}, out,
               std::bit_cast<std::array<std::uint32_t, 4>>(numbers));
}

void VulkanBackend::random(const Tensor& out, Distribution distribution, std::uint64_t seed, double a, double b) {
  const bool normal = distribution == Distribution::normal;
  const std::int64_t invocations = (out.numel() + 3) / 4;
  if (out.numel() == 0) return;
  if (invocations >= kMostInvocations) return HostFallback::random(out, distribution, seed, a, b);
  // The first float that uniform numbers must stay below.
  auto end = static_cast<float>(b);
  if (static_cast<double>(end) < b) end = std::nextafter(end, std::numeric_limits<float>::infinity());
  if (a >= b) end = std::numeric_limits<float>::infinity();
  Walk walk;
  walk.address = {address_of(out), bits_of(pair_of(a)), bits_of(pair_of(normal ? b : b - a)),
                  bits_of({end, static_cast<float>(a)})};
  set_extra(walk, 0, seed);
  set_extra(walk, 2, static_cast<std::uint64_t>(out.numel()));
  context_.dispatch({"random", kElementWorkgroup, {number(out.dtype()), normal}}, walk.bytes(),
                    context_.spread(workgroups(static_cast<std::uint64_t>(invocations))), {}, {&out, 1});
}

void VulkanBackend::unary(UnaryOp op, const Tensor& in, const Tensor& out) {
  each_element({"unary", kElementWorkgroup, {number(op), number(in.dtype())}}, out.shape(), {in, out}, out);
}

void VulkanBackend::binary(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& out) {
  each_element({"binary", kElementWorkgroup, {number(op), number(a.dtype())}}, out.shape(), {a, b, out}, out);
}

void VulkanBackend::where(const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& out) {
  each_element({"where", kElementWorkgroup, {number(word_of(itemsize(out.dtype())))}}, out.shape(),
               {condition, a, b, out}, out);
}

}  // namespace nibble::inline v0::detail::vulkan
