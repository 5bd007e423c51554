// The same numbers in another format: codes and the scale and bias of each group, taken out of one and put into the
// other; or, where these differ only in where they lie, their bytes. Nothing is rounded, and every row is decoded from
// both to be sure of it.

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <memory>

#include "nibble/quantization.h"
#include "quant_tensor/formats/format.h"
#include "quant_tensor/formats/input_order.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace {

using detail::Format;

/// How much of the stored rows a tensor covers.
struct Extent {
  Shape shape;  ///< the packed axis moved last
  std::int64_t rows;
  std::int64_t length;
};

Extent extent_of(const detail::TensorImpl& impl) {
  Extent extent{impl.shape, 0, impl.shape[impl.packing->axis]};
  extent.shape.erase(impl.packing->axis);
  extent.rows = extent.shape.numel();
  extent.shape.push_back(extent.length);
  return extent;
}

/// One number a group of `from` weights → one a group of `to` weights. A group may be split; groups may be joined where
/// they have the same number.
bool regroup(const std::vector<float>& in, int from, int to, std::vector<float>& out) {
  for (std::size_t g = 0; g < out.size(); ++g) {
    const std::size_t first = g * static_cast<std::size_t>(to) / static_cast<std::size_t>(from);
    const std::size_t last = ((g + 1) * static_cast<std::size_t>(to) - 1) / static_cast<std::size_t>(from);
    for (std::size_t i = first; i <= last; ++i) {
      if (std::bit_cast<std::uint32_t>(in[i]) != std::bit_cast<std::uint32_t>(in[first])) return false;
    }
    out[g] = in[first];
  }
  return true;
}

bool same_values(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(),
                    [](float x, float y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

/// Moves weights [begin, begin + length) of a row into another format; false where a number has no exact place there.
using MoveRow = std::function<bool(const detail::PackedRow&, std::int64_t begin, const detail::MutablePackedRow&)>;

MoveRow by_numbers(const Format& from, const Format& to, std::int64_t length) {
  const auto floats = [&](int group) { return std::vector<float>(static_cast<std::size_t>(length / group)); };
  return [&from, &to, length, codes = std::vector<std::uint8_t>(static_cast<std::size_t>(length)),
          scales = floats(from.group_size), biases = floats(from.group_size), to_scales = floats(to.group_size),
          to_biases = floats(to.group_size)](const auto& source, std::int64_t begin, const auto& target) mutable {
    from.codes(source, begin, length, codes.data(), scales.data(), biases.data());
    return regroup(scales, from.group_size, to.group_size, to_scales) &&
           regroup(biases, from.group_size, to.group_size, to_biases) &&
           to.assemble(codes.data(), to_scales.data(), to_biases.data(), length, target);
  };
}

MoveRow by_bytes(const Format& from, const Format& to, std::int64_t length) {
  return [&from, &to, length, codes = std::vector<std::uint8_t>(static_cast<std::size_t>(length)),
          scales = std::vector<std::uint8_t>(static_cast<std::size_t>(length / from.group_size))](
             const auto& source, std::int64_t begin, const auto& target) mutable {
    from.stored.take(source, begin, length, codes.data(), scales.data());
    to.stored.put(codes.data(), scales.data(), length, target);
    return true;
  };
}

bool have_same_bytes(const Format& a, const Format& b) {
  return !a.stored.kind.empty() && a.stored.kind == b.stored.kind;
}

/// Empty where no way leads from one to the other.
MoveRow way(const Format& from, const Format& to, std::int64_t length) {
  if (have_same_bytes(from, to)) return by_bytes(from, to, length);
  return from.codes && to.assemble ? by_numbers(from, to, length) : MoveRow();
}

bool has_scales(const Format& format) {
  return std::any_of(format.components.begin(), format.components.end(),
                     [](const auto& spec) { return spec.is_scale; });
}

/// Rewrites all rows of `packed` into `components`; false at the first number that has no exact place there.
bool rewrite(const Tensor& packed, const Extent& extent, const Format& to, std::span<const Tensor> components,
             const MoveRow& move_row) {
  const Packing& packing = *packed.packing();
  const Format& from = *packing.format;
  std::vector<float> before(static_cast<std::size_t>(extent.length)), after(before.size());

  for (std::int64_t i = 0; i < extent.rows; ++i) {
    const detail::PackedRow source = detail::packed_row(packing, detail::storage_row(packed, i));
    const detail::MutablePackedRow target = detail::mutable_packed_row(to, components, i);
    if (!move_row(source, packing.begin, target)) return false;

    detail::PackedRow written{{}, target.scale_dtype};
    std::copy(target.component.begin(), target.component.end(), written.component.begin());
    from.decode(source, packing.begin, extent.length, before.data());
    to.decode(written, 0, extent.length, after.data());
    if (!same_values(before, after)) return false;
  }
  return true;
}

/// Types for the scales, in the order they are tried: the source's own (f16 for GGUF), then f32, which holds them all.
std::vector<DType> scale_dtypes(const Packing& packing) {
  DType own = DType::f16;
  for (std::size_t c = 0; c < packing.components.size(); ++c) {
    if (packing.format->components[c].is_scale) own = packing.components[c].dtype();
  }
  if (own == DType::f32) return {DType::f32};
  return {own, DType::f32};
}

/// A tensor packed along its last axis → the same with that axis at `axis`.
Tensor with_packed_axis_at(const Tensor& packed, int axis) {
  detail::TensorImpl impl = packed.impl();
  const int last = impl.packing->axis;
  if (axis == last) return packed;
  const std::int64_t length = impl.shape[last];
  impl.shape.erase(last);
  impl.strides.erase(last);
  impl.shape.insert(axis, length);
  impl.strides.insert(axis, 0);
  auto packing = detail::make_cached<Packing>(*impl.packing);
  packing->axis = axis;
  impl.packing = std::move(packing);
  return detail::make_tensor(std::move(impl));
}

}  // namespace

Tensor reexpress(const Tensor& tensor, std::string_view format_name) {
  if (!tensor.is_quantized()) {
    throw Error(ErrorCode::invalid_argument, fmt::format("[reexpress] {}: is dense; use quantize", describe(tensor)));
  }
  const Format& to = detail::format_named("reexpress", format_name);
  const Format& from = *tensor.packing()->format;
  if (&from == &to) return tensor;
  const auto refuse = [&](std::string_view rule) {
    throw Error(ErrorCode::unsupported, fmt::format("[reexpress] {} as {}: {}", describe(tensor), to.name, rule));
  };
  const Tensor packed = tensor.to(Device::cpu());
  const Packing& packing = *packed.packing();
  const Extent extent = extent_of(packed.impl());
  const MoveRow move_row = way(from, to, extent.length);
  if (!move_row) refuse("no lossless re-expression exists");
  if (extent.length % to.block != 0) refuse(fmt::format("group size {} does not divide {}", to.block, extent.length));
  for (const DType scale_dtype : scale_dtypes(packing)) {
    const std::vector<Tensor> components = detail::allocate_components(to, extent.shape, scale_dtype);
    if (rewrite(packed, extent, to, components, move_row)) {
      const Tensor made = detail::make_packed(to, components, extent.shape, packed.dtype(), "reexpress");
      return with_packed_axis_at(detail::in_order_of(packed, made), packing.axis).to(tensor.device());
    }
    if (!has_scales(to)) break;
  }
  refuse("some of its numbers have no exact place there");
  return {};
}

bool holds_numbers_of(std::string_view to_name, std::string_view from_name, DType scales) {
  const Format& to = detail::format_named("holds_numbers_of", to_name);
  const Format& from = detail::format_named("holds_numbers_of", from_name);
  if (have_same_bytes(from, to)) return true;
  const bool takes_scales = has_scales(to) || !has_scales(from) || scales == DType::f16;
  const bool takes_zeros = to.zero == 0 || to.zero == from.zero;
  return from.assemble && to.assemble && from.bits == to.bits && from.group_size % to.group_size == 0 && takes_scales &&
         takes_zeros;
}

}  // namespace v0
}  // namespace nibble
