// The public doors to packed tensors that need no arithmetic.

#include "nibble/quantization.h"

#include <fmt/format.h>

#include "quant_tensor/formats/format.h"
#include "quant_tensor/formats/input_order.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace {

using detail::Format;

FormatInfo describe_format(const Format& format) {
  FormatInfo info{.name = std::string(format.name),
                  .family = format.family,
                  .bits = format.bits,
                  .group_size = format.group_size,
                  .block = format.block,
                  .components = {},
                  .bits_per_weight = format.bits_per_weight,
                  .mode = std::string(format.mode),
                  .mode_version = format.mode_version,
                  .ggml_type = format.ggml_type,
                  .specification = std::string(format.specification)};
  for (std::size_t c = 0; c < format.components.size(); ++c) {
    const detail::ComponentSpec& spec = format.components[c];
    info.components.push_back({.name = std::string(spec.name),
                               .dtype = spec.is_scale ? std::nullopt : std::optional(spec.dtype),
                               .width = static_cast<int>(format.width(static_cast<int>(c), format.block)),
                               .of_row = spec.of_row});
  }
  return info;
}

/// A component as the view sees it: the view's rows, and of each the part that it covers.
Tensor component_view(const detail::TensorImpl& impl, std::size_t c) {
  const Packing& packing = *impl.packing;
  const Tensor& component = packing.components[c];
  const std::int64_t stored_width = component.shape().back();
  const auto width = [&](std::int64_t k) { return packing.format->width(static_cast<int>(c), k); };

  Shape shape = impl.shape;
  Strides strides = impl.strides;
  shape.erase(packing.axis);
  strides.erase(packing.axis);
  for (int axis = 0; axis < strides.rank(); ++axis) strides[axis] *= stored_width;
  shape.push_back(width(impl.shape[packing.axis]));
  strides.push_back(1);
  const std::int64_t skipped = packing.format->components[c].of_row ? 0 : width(packing.begin);
  const std::int64_t offset = component.impl().offset + impl.offset * stored_width + skipped;
  return detail::make_view(component, shape, strides, offset);
}

/// Components by name, put in the format's own order.
std::vector<Tensor> in_order(const Format& format, const Components& components) {
  std::vector<Tensor> ordered(format.components.size());
  for (const auto& [name, tensor] : components) {
    if (name == kInputOrder) continue;
    std::size_t c = 0;
    while (c < ordered.size() && format.components[c].name != name) ++c;
    if (c == ordered.size()) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("[from_components] {}: has no component called '{}'", format.name, name));
    }
    if (ordered[c].defined()) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("[from_components] {}: '{}' given twice", format.name, name));
    }
    ordered[c] = tensor;
  }
  return ordered;
}

DType dtype_of_scales(const Format& format, const std::vector<Tensor>& components) {
  for (std::size_t c = 0; c < components.size(); ++c) {
    if (format.components[c].is_scale && components[c].defined()) return components[c].dtype();
  }
  return DType::f32;
}

}  // namespace

std::vector<FormatInfo> formats() {
  std::vector<FormatInfo> infos;
  for (const Format* format : detail::format_table()) infos.push_back(describe_format(*format));
  return infos;
}

std::optional<FormatInfo> format_info(std::string_view name) {
  const Format* format = detail::find_format(name);
  return format ? std::optional(describe_format(*format)) : std::nullopt;
}

PackingView packing_of(const Tensor& packed) {
  const detail::TensorImpl& impl = packed.impl();
  if (!impl.packing) {
    throw Error(ErrorCode::invalid_argument, fmt::format("[packing_of] {}: is dense", describe(packed)));
  }
  const Format& format = *impl.packing->format;
  PackingView view{describe_format(format), impl.packing->axis, {}};
  for (std::size_t c = 0; c < format.components.size(); ++c) {
    view.components.emplace_back(format.components[c].name, component_view(impl, c));
  }
  if (impl.packing->input_order.defined()) view.components.emplace_back(kInputOrder, impl.packing->input_order);
  return view;
}

Tensor from_quantized(const Tensor& codes, const Tensor& scales, const Tensor& biases, AffineParams params) {
  const Format& format = detail::requested_format("from_quantized", {params.bits, params.group_size, "affine"});
  const auto refuse = [&](ErrorCode code, const std::string& text) {
    throw Error(code, fmt::format("[from_quantized] {}: {}", format.name, text));
  };
  if (!codes.defined()) refuse(ErrorCode::invalid_argument, "codes missing");
  if (!scales.defined()) refuse(ErrorCode::invalid_argument, "scales missing");
  if (codes.dtype() != DType::u32) {
    refuse(ErrorCode::dtype_mismatch, fmt::format("codes {}: must be u32", describe(codes)));
  }
  if (codes.ndim() == 0) refuse(ErrorCode::shape_mismatch, fmt::format("codes {}: must have rows", describe(codes)));
  // A row of w words holds 32·w bits; a width that is no whole number of groups names no weight at all.
  const std::int64_t words = codes.shape().back();
  const std::int64_t words_per_group = format.width(0, format.group_size);
  if (words % words_per_group != 0) {
    refuse(ErrorCode::shape_mismatch,
           fmt::format("codes {}: a row of {} words is no whole number of groups of {} weights ({} words each)",
                       describe(codes), words, format.group_size, words_per_group));
  }
  Shape shape = codes.shape();
  shape[shape.rank() - 1] = words / words_per_group * format.group_size;
  if (!is_arithmetic_float(scales.dtype())) {
    refuse(ErrorCode::dtype_mismatch, fmt::format("scales {}: must be f32, f16 or bf16", describe(scales)));
  }
  const Tensor components[] = {codes, scales, biases};
  return detail::make_packed(format, components, shape, scales.dtype(), "from_quantized");
}

Tensor from_components(std::string_view format_name, const Components& components, const Shape& shape,
                       std::optional<DType> dtype) {
  const Format& format = detail::format_named("from_components", format_name);
  const std::vector<Tensor> ordered = in_order(format, components);
  Tensor packed = detail::make_packed(format, ordered, shape, dtype.value_or(dtype_of_scales(format, ordered)));
  for (const auto& [name, tensor] : components) {
    if (name == kInputOrder) packed = detail::with_input_order("from_components", packed, tensor);
  }
  return packed;
}

}  // namespace v0
}  // namespace nibble
