#include <fmt/format.h>

#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace detail {

Strides contiguous_strides(const Shape& shape) {
  Strides strides = Shape::filled(shape.rank(), 1);
  for (int i = shape.rank() - 2; i >= 0; --i) strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

bool is_contiguous(const Shape& shape, const Strides& strides) {
  std::int64_t expected = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

Tensor make_tensor(TensorImpl impl) { return Tensor(std::make_shared<const TensorImpl>(std::move(impl))); }

namespace {

/// Bytes of a new tensor; refuses negative sizes and products past 2^63, whatever file or caller they came from.
std::size_t checked_bytes(const Shape& shape, DType dtype) {
  std::int64_t bytes = static_cast<std::int64_t>(itemsize(dtype));
  bool empty = false, overflow = false;
  for (const std::int64_t size : shape) {
    if (size < 0) throw Error(ErrorCode::invalid_argument, fmt::format("[allocate] shape {}: negative size", to_string(shape)));
    if (size == 0) empty = true;
    overflow = overflow || __builtin_mul_overflow(bytes, size == 0 ? 1 : size, &bytes);
  }
  if (empty) return 0;
  if (overflow) throw Error(ErrorCode::out_of_memory, fmt::format("[allocate] shape {}: more than 2^63 bytes", to_string(shape)));
  return static_cast<std::size_t>(bytes);
}

}  // namespace

Tensor make_dense(const Shape& shape, DType dtype) {
  auto storage = allocate_host(checked_bytes(shape, dtype));
  return make_tensor({shape, contiguous_strides(shape), 0, dtype, std::move(storage), nullptr});
}

Tensor make_view(const Tensor& x, const Shape& shape, const Strides& strides, std::int64_t offset) {
  const TensorImpl& impl = x.impl();
  return make_tensor({shape, strides, offset, impl.dtype, impl.storage, impl.packing});
}

int normalize_axis(std::string_view op, int axis, int rank) {
  if (axis < -rank || axis >= rank) {
    throw Error(ErrorCode::invalid_argument, fmt::format("[{}] axis {} of a tensor of {} axes", op, axis, rank));
  }
  return axis < 0 ? axis + rank : axis;
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
