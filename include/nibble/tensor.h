#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/device.h"
#include "nibble/dtype.h"
#include "nibble/export.h"
#include "nibble/shape.h"

namespace nibble {
inline namespace v0 {

struct Packing;
namespace detail {
struct TensorImpl;
}

/// An n-dimensional array: a cheap handle with value semantics, immutable once made. Copies share storage.
/// A tensor may be *packed* (2 to 8 bits a weight); shape() and dtype() are logical all the same, and every
/// operation takes it. Handles may be used from many threads at once.
class NIBBLE_API Tensor {
 public:
  /// No tensor: `defined()` is false and everything else throws.
  Tensor() = default;

  bool defined() const noexcept { return impl_ != nullptr; }
  const Shape& shape() const;
  /// The size of one axis; negative counts from the end.
  std::int64_t size(int axis) const;
  /// The number of elements.
  std::int64_t numel() const;
  int ndim() const;
  DType dtype() const;
  Device device() const;

  /// Whether the elements lie in row-major order without gaps. A packed tensor never does.
  bool is_contiguous() const;
  /// Whether it is stored packed.
  bool is_quantized() const noexcept;
  /// How it is packed; null for a dense tensor. Lives as long as the tensor.
  const Packing* packing() const noexcept;
  /// Bytes that its elements take in storage: of a packed tensor all components.
  std::uint64_t nbytes() const;

  /// The first element of a contiguous dense tensor in host memory, after waiting for whatever computes it.
  /// Throws Error(unsupported) for a packed, strided, device or unaligned tensor, Error(dtype_mismatch) for another T.
  template <class T>
  const T* data() const {
    return static_cast<const T*>(data_checked(dtype_of<T>));
  }
  /// The same without a type; at any address.
  const void* raw_data() const;

  /// The elements in row-major order; from any layout and device. T must be the dtype's C++ type.
  template <class T>
  std::vector<T> to_vector() const {
    const auto n = static_cast<std::size_t>(numel());
    if constexpr (std::is_same_v<T, bool>) {  // std::vector<bool> has no array of bool
      const auto values = std::make_unique<bool[]>(n);
      copy_out(values.get(), dtype_of<T>);
      return std::vector<bool>(values.get(), values.get() + n);
    } else {
      std::vector<T> out(n);
      copy_out(out.data(), dtype_of<T>);
      return out;
    }
  }
  /// The value of a tensor of one element.
  template <class T>
  T item() const {
    T out;
    item_out(&out, dtype_of<T>);
    return out;
  }
  /// Writes the elements in row-major order to `out`, numel() · itemsize bytes.
  void copy_out(void* out, DType as) const;

  /// The same values on another device; itself if it is there already.
  Tensor to(Device device) const;

  // For the library's own rooms.
  explicit Tensor(std::shared_ptr<const detail::TensorImpl> impl) noexcept : impl_(std::move(impl)) {}
  const detail::TensorImpl& impl() const;
  const std::shared_ptr<const detail::TensorImpl>& impl_ptr() const noexcept { return impl_; }

 private:
  const void* data_checked(DType as) const;
  void item_out(void* out, DType as) const;

  std::shared_ptr<const detail::TensorImpl> impl_;
};

/// A one-line description as error texts give it: "f32 (3, 64)", "affine4-g64 (128, 128)ᵀ".
NIBBLE_API std::string describe(const Tensor& tensor);

/// A copy of the `shape.numel()` elements at `data`, on options().device.
NIBBLE_API Tensor from_data(const void* data, const Shape& shape, DType dtype);
template <class T>
Tensor from_data(std::span<const T> data, const Shape& shape) {
  return from_data(data.data(), shape, dtype_of<T>);
}
/// `tensor<float>({1, 2, 3, 4}, {2, 2})`.
template <class T>
Tensor tensor(std::initializer_list<T> values, const Shape& shape) {
  return from_data(std::data(values), shape, dtype_of<T>);
}

/// A tensor over memory that `owner` keeps alive, without a copy: the tensor never writes to it. Used for
/// memory-mapped files and for a host's own buffers. `data` may have any alignment; but for products, take() and copies
/// it is copied at use if unaligned.
NIBBLE_API Tensor from_borrowed(std::shared_ptr<const void> owner, const void* data, const Shape& shape, DType dtype);

}  // namespace v0
}  // namespace nibble
