#pragma once

#include <string_view>

#include "nibble/tensor.h"

/// Packed rows that are stored in another order than that of their axis: see Packing::input_order.
namespace nibble {
inline namespace v0 {
namespace detail {

/// The same rows read as stored in `order`, i32 (K,), a permutation of their entries; on any device. Where it changes
/// nothing, the tensor itself. Throws Error(dtype_mismatch | shape_mismatch | invalid_argument) naming `op`.
Tensor with_input_order(std::string_view op, const Tensor& packed, const Tensor& order);

/// `made` with the order of `like`, whose rows have the same length.
Tensor in_order_of(const Tensor& like, const Tensor& made);

/// The rows as they are stored: the tensor without its order. Itself where it has none, or is dense.
Tensor as_stored(const Tensor& t);

bool has_input_order(const Tensor& t);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
