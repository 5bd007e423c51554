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

Tensor make_tensor(TensorImpl impl) { return Tensor(make_cached<const TensorImpl>(std::move(impl))); }

std::size_t checked_bytes(std::string_view op, const Shape& shape, DType dtype) {
  // No address space is larger, and what is computed of sizes below it (bits, padded blocks) stays far from overflow.
  constexpr std::int64_t kMostBytes = std::int64_t{1} << 56;
  auto bytes = static_cast<std::int64_t>(itemsize(dtype));
  bool empty = false, too_many = false;
  for (const std::int64_t size : shape) {
    if (size < 0)
      throw Error(ErrorCode::invalid_argument, fmt::format("[{}] shape {}: negative size", op, to_string(shape)));
    // A size of 0 hides no overflow: strides are products of the others.
    if (size == 0) empty = true;
    too_many = too_many || __builtin_mul_overflow(bytes, size == 0 ? 1 : size, &bytes) || bytes > kMostBytes;
  }
  if (too_many) {
    throw Error(ErrorCode::out_of_memory, fmt::format("[{}] shape {}: more than 2^56 bytes", op, to_string(shape)));
  }
  return empty ? 0 : static_cast<std::size_t>(bytes);
}

Tensor make_dense(const Shape& shape, DType dtype) {
  auto storage = allocate_host(checked_bytes("allocate", shape, dtype));
  return make_tensor({shape, contiguous_strides(shape), 0, dtype, std::move(storage), nullptr});
}

Tensor make_view(const Tensor& x, const Shape& shape, const Strides& strides, std::int64_t offset) {
  const TensorImpl& impl = x.impl();
  return make_tensor({shape, strides, offset, impl.dtype, impl.storage, impl.packing});
}

int normalize_axis(std::string_view op, std::int64_t axis, int rank) {
  if (axis < -rank || axis >= rank) {
    throw Error(ErrorCode::invalid_argument, fmt::format("[{}] axis {} of a tensor of {} axes", op, axis, rank));
  }
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
