#pragma once

#include <memory>
#include <string>
#include <utility>

#include "nibble/error.h"
#include "nibble/tensor.h"
#include "quant_tensor/tensor/packing.h"
#include "quant_tensor/tensor/storage.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// What a Tensor handle points to.
///
/// Dense: element (i, j, …) lies at data + (offset + i·strides[0] + j·strides[1] + …) · itemsize.
/// Packed: the storage is a stack of packed rows. Element (…, k at the packed axis, …) is weight `packing.begin + k` of
/// row `offset + Σ iₐ·strides[a]`, the sum running over all axes but the packed one (whose stride is not used). So a
/// transpose is a permutation of shape and strides, an expert or row slice moves the offset, and a broadcast is a
/// stride of 0.
struct TensorImpl {
  Shape shape;
  Strides strides;  ///< in elements; of a packed tensor in rows
  std::int64_t offset = 0;
  DType dtype = DType::f32;
  std::shared_ptr<Storage> storage;        ///< null for a packed tensor: its components have their own
  std::shared_ptr<const Packing> packing;  ///< null for a dense tensor
};

/// Row-major strides.
Strides contiguous_strides(const Shape& shape);
bool is_contiguous(const Shape& shape, const Strides& strides);

/// Bytes of a dense tensor. Refuses negative sizes and what no address space holds, whatever file or caller they came
/// from: Error(invalid_argument | out_of_memory).
std::size_t checked_bytes(std::string_view op, const Shape& shape, DType dtype);

Tensor make_tensor(TensorImpl impl);
/// A new contiguous host tensor, uninitialised.
Tensor make_dense(const Shape& shape, DType dtype);
/// The same elements under another shape, strides and offset (all in x's units).
Tensor make_view(const Tensor& x, const Shape& shape, const Strides& strides, std::int64_t offset);

/// First element of a dense host tensor, strides applied by the caller. For operands that a kernel only reads.
inline const std::byte* bytes_of(const Tensor& t) {
  const TensorImpl& impl = t.impl();
  return impl.storage->data() + impl.offset * static_cast<std::int64_t>(itemsize(impl.dtype));
}
template <class T>
const T* data_of(const Tensor& t) {
  return reinterpret_cast<const T*>(bytes_of(t));
}
/// The same for a tensor that its maker is still filling.
inline std::byte* mutable_bytes(const Tensor& t) { return const_cast<std::byte*>(bytes_of(t)); }
template <class T>
T* mutable_data(const Tensor& t) {
  return reinterpret_cast<T*>(mutable_bytes(t));
}

/// axis in [0, rank) from one that may be negative. Throws Error(invalid_argument) naming `op`.
int normalize_axis(std::string_view op, std::int64_t axis, int rank);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
