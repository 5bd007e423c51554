#pragma once

#include <functional>
#include <optional>

#include "nibble/shape.h"
#include "nibble/tensor.h"

namespace nibble {
inline namespace v0 {
namespace detail {

// Pure functions of shapes and strides.

/// The strides with which elements laid out by (shape, strides) have the new shape of as many elements; nothing where
/// no strides can express it. Neither has an axis of size 0.
std::optional<Strides> reshape_strides(const Shape& shape, const Strides& strides, const Shape& to);

/// Strides of x seen as `shape`: 0 along broadcast axes; x's shape must broadcast to it.
Strides broadcast_strides(const Shape& from, const Strides& strides, const Shape& to);

/// x seen as `shape`, to which its own broadcasts; itself where it has it already. Dense only.
Tensor broadcast_view(const Tensor& x, const Shape& shape);

/// x with its axes in the order given. Also of a packed tensor.
Tensor permute(const Tensor& x, const Axes& order);
/// The same view of the same packed rows over other tensors: of each that holds them, what `made` gives for it.
Tensor over_other_parts(const Tensor& packed, const std::function<Tensor(const Tensor&)>& made);
/// x with `axis` moved last, and the inverse of that for a result of the same rank.
Tensor move_last(const Tensor& x, int axis);
Tensor move_back(const Tensor& x, int axis);

/// A contiguous tensor of x's values, x dense: itself, or a copy.
Tensor contiguous_dense(const Tensor& x);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
