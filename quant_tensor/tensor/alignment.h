#pragma once

#include <cstdint>

#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// Whether the elements of a dense tensor lie where their type may be read. Those of mapped files need not.
inline bool is_aligned(const Tensor& t) {
  return reinterpret_cast<std::uintptr_t>(bytes_of(t)) % itemsize(t.impl().dtype) == 0;
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
