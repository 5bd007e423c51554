// GGUF Q5_1: a block of 32 weights is an f16 d, an f16 m, a u32 of fifth bits, then 16 bytes of nibbles;
// value = d · code + m.

#include "quant_tensor/formats/gguf_block.h"

namespace nibble {
inline namespace v0 {
namespace detail {

extern const Format q5_1_format;
constexpr Format q5_1_format = gguf_format<OffsetBlock<FiveBits>>("q5_1", 5, 7);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
