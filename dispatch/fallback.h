#pragma once

#include <optional>
#include <string_view>

#include "nibble/tensor.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// `t` itself where it is dense and aligned to its elements; else its values, of a packed tensor in `dtype` (by default
/// its logical one). For operations that have no kernel for such: what is decoded is counted in
/// stats().bytes_dequantized, and Fallback::error makes it throw Error(fallback_forbidden) instead; what lay unaligned
/// is copied, counted in stats().bytes_copied.
Tensor dense_operand(std::string_view op, const Tensor& t, std::optional<DType> dtype = {});

/// Throws under Fallback::error, else counts that `op` decodes `bytes` of values.
void count_fallback(std::string_view op, const Tensor& packed, std::uint64_t bytes);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
