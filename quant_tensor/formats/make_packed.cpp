#include <fmt/format.h>

#include <memory>

#include "quant_tensor/formats/format.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

Shape component_shape(const Format& format, int c, const Shape& shape) {
  Shape out = shape;
  out[shape.rank() - 1] = format.width(c, shape.back());
  return out;
}

/// What a component must look like for a weight of a certain shape, checked one rule at a time.
class Checker {
 public:
  Checker(const Format& format, const Shape& shape, std::string_view op) : format_(format), shape_(shape), op_(op) {}

  void check_weight(DType dtype) const {
    if (!is_arithmetic_float(dtype))
      fail(ErrorCode::dtype_mismatch, fmt::format("logical dtype {}: must be f32, f16 or bf16", name(dtype)));
    if (shape_.rank() == 0) fail(ErrorCode::shape_mismatch, "a packed tensor has at least one axis");
    for (const std::int64_t size : shape_) {
      if (size < 0) fail(ErrorCode::shape_mismatch, "negative size");
    }
    // Widths are multiples of it: they must not overflow before they are compared.
    if (shape_.back() > std::int64_t{1} << 56) fail(ErrorCode::shape_mismatch, "rows of more than 2^56 weights");
    if (shape_.back() % format_.block != 0) {
      fail(ErrorCode::shape_mismatch,
           fmt::format("group size {} does not divide the last axis of {}", format_.block, shape_.back()));
    }
  }

  void check_count(std::size_t given) const {
    if (given == format_.components.size()) return;
    fail(ErrorCode::invalid_argument, fmt::format("{} components given, {} needed", given, format_.components.size()));
  }

  void check(int c, const Tensor& t) const {
    const ComponentSpec& spec = format_.components[static_cast<std::size_t>(c)];
    if (!t.defined()) fail(ErrorCode::invalid_argument, fmt::format("{} missing", spec.name));
    const std::string what = fmt::format("{} {}", spec.name, describe(t));
    if (t.is_quantized()) fail(ErrorCode::invalid_argument, fmt::format("{}: must be dense", what));
    if (spec.is_scale && !is_arithmetic_float(t.dtype())) {
      fail(ErrorCode::dtype_mismatch, fmt::format("{}: must be f32, f16 or bf16", what));
    }
    if (!spec.is_scale && t.dtype() != spec.dtype) {
      fail(ErrorCode::dtype_mismatch, fmt::format("{}: must be {}", what, name(spec.dtype)));
    }
    const Shape expected = component_shape(format_, c, shape_);
    if (t.shape() != expected) {
      fail(ErrorCode::shape_mismatch, fmt::format("{}: must be {}", what, to_string(expected)));
    }
  }

  void check_alike(std::span<const Tensor> components) const {
    const Tensor* scale = nullptr;
    for (std::size_t c = 0; c < components.size(); ++c) {
      if (components[c].device() != components[0].device()) {
        fail(ErrorCode::device_mismatch,
             fmt::format("{} on {}, {} on {}", format_.components[0].name, nibble::to_string(components[0].device()),
                         format_.components[c].name, nibble::to_string(components[c].device())));
      }
      if (!format_.components[c].is_scale) continue;
      if (scale && scale->dtype() != components[c].dtype()) {
        fail(ErrorCode::dtype_mismatch,
             fmt::format("{} is {} where the other scales are {}", format_.components[c].name,
                         name(components[c].dtype()), name(scale->dtype())));
      }
      scale = &components[c];
    }
  }

 private:
  [[noreturn]] void fail(ErrorCode code, const std::string& rule) const {
    throw Error(code, fmt::format("[{}] {} {}: {}", op_, format_.name, to_string(shape_), rule));
  }

  const Format& format_;
  const Shape& shape_;
  std::string_view op_;
};

Tensor contiguous(const Tensor& t) {
  if (t.is_contiguous()) return t;
  Tensor out = make_dense(t.shape(), t.dtype());
  t.copy_out(mutable_bytes(out), t.dtype());
  return out;
}

/// Bytes of one row of a component; 0 where it has no elements.
std::int64_t row_bytes(const Tensor& component) {
  return component.shape().back() * static_cast<std::int64_t>(itemsize(component.dtype()));
}

}  // namespace

PackedRow packed_row(const Packing& packing, std::int64_t r) {
  PackedRow row;
  for (std::size_t c = 0; c < packing.components.size(); ++c) {
    const Tensor& component = packing.components[c];
    row.component[c] = bytes_of(component) + r * row_bytes(component);
    if (packing.format->components[c].is_scale) row.scale_dtype = component.dtype();
  }
  return row;
}

MutablePackedRow mutable_packed_row(const Format& format, std::span<const Tensor> components, std::int64_t r) {
  MutablePackedRow row;
  for (std::size_t c = 0; c < components.size(); ++c) {
    row.component[c] = mutable_bytes(components[c]) + r * row_bytes(components[c]);
    if (format.components[c].is_scale) row.scale_dtype = components[c].dtype();
  }
  return row;
}

std::int64_t storage_row(const Tensor& packed, std::int64_t i) {
  const TensorImpl& impl = packed.impl();
  std::int64_t row = impl.offset;
  for (int axis = impl.shape.rank() - 1; axis >= 0; --axis) {
    if (axis == impl.packing->axis) continue;
    row += i % impl.shape[axis] * impl.strides[axis];
    i /= impl.shape[axis];
  }
  return row;
}

std::vector<Tensor> allocate_components(const Format& format, const Shape& shape, DType scale_dtype,
                                        const std::function<Tensor(const Shape&, DType)>& allocate) {
  std::vector<Tensor> components;
  for (std::size_t c = 0; c < format.components.size(); ++c) {
    const ComponentSpec& spec = format.components[c];
    components.push_back(
        allocate(component_shape(format, static_cast<int>(c), shape), spec.is_scale ? scale_dtype : spec.dtype));
  }
  return components;
}

Tensor make_packed(const Format& format, std::span<const Tensor> components, const Shape& shape, DType dtype,
                   std::string_view op) {
  const Checker checker(format, shape, op);
  checker.check_weight(dtype);
  checker.check_count(components.size());
  for (std::size_t c = 0; c < components.size(); ++c) checker.check(static_cast<int>(c), components[c]);
  checker.check_alike(components);

  auto packing = make_cached<Packing>();
  packing->format = &format;
  packing->axis = shape.rank() - 1;
  packing->row_length = shape.back();
  // Their bytes are read at any address.
  for (const Tensor& c : components) packing->components.push_back(c.is_contiguous() ? c : contiguous(c));

  Shape rows = shape;
  rows.erase(packing->axis);
  TensorImpl impl;
  impl.shape = shape;
  impl.strides = contiguous_strides(rows);
  impl.strides.push_back(0);
  impl.dtype = dtype;
  impl.packing = std::move(packing);
  return make_tensor(std::move(impl));
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
