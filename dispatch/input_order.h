#pragma once

#include "quant_tensor/formats/input_order.h"

/// Rows that are stored in another order than that of their axis: what meets them is permuted instead, so that kernels
/// see rows as they are stored.
namespace nibble {
inline namespace v0 {
namespace detail {

/// x[…, order[j]] at j, x dense with any strides: what meets the rows of `w` as they are stored.
Tensor in_stored_order(const Tensor& x, const Tensor& w);

/// y[…, places[k]] at k, y dense: what was computed for the rows of `w` as they are stored, in the order of its axis.
/// The axis is `axis` of y.
Tensor in_axis_order(const Tensor& y, const Tensor& w, int axis = -1);

/// The values of a packed tensor into `out` (of its shape, contiguous).
void decode_into(const Tensor& packed, const Tensor& out);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
