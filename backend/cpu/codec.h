#pragma once

#include <span>

#include "nibble/tensor.h"
#include "quant_tensor/formats/format.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// Backend::dequantize: packed, of any rank and any packed axis, to `out` of the same shape, contiguous, f32, f16 or
/// bf16.
void cpu_dequantize(const Tensor& packed, const Tensor& out);

/// Backend::quantize: w (…, N, K) contiguous, f32, f16 or bf16, into allocated components, row by row.
void cpu_quantize(const Tensor& w, const Format& format, std::span<const Tensor> components);

/// Backend::take of the rows listed of a packed 2-D tensor with its rows on axis 0: out (*, K), contiguous, f32, f16 or
/// bf16.
void cpu_take_packed(const Tensor& packed, std::span<const std::int64_t> rows, const Tensor& out);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
