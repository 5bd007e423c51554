#pragma once

#include "nibble/tensor.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// take() of a packed tensor: gathers packed rows, and decodes only those.
Tensor take_packed(const Tensor& x, const Tensor& indices, int axis);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
