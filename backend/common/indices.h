#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "nibble/tensor.h"
#include "quant_tensor/tensor/cached.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// Which of `n` entries integer `indices` of any shape and strides name, in row-major order; negative ones count from
/// the end. Throws Error(out_of_range) for one that names none, with what `operands` says first.
CachedVector<std::int64_t> resolve_indices(const Tensor& indices, std::int64_t n,
                                           const std::function<std::string()>& operands);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
