#pragma once

#include "nibble/tensor.h"
#include "quant_tensor/tensor/cached.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// The elements in row-major order, as to_vector() gives them, in memory of the thread's own lists.
template <class T>
CachedVector<T> values_of(const Tensor& t) {
  CachedVector<T> values(static_cast<std::size_t>(t.numel()));
  t.copy_out(values.data(), dtype_of<T>);
  return values;
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
