// GGUF Q4_1: a block of 32 weights is an f16 d, an f16 m, then 16 bytes of nibbles;
// value = d · code + m.

#include "quant_tensor/formats/gguf_block.h"

namespace nibble {
inline namespace v0 {
namespace detail {

extern const Format q4_1_format;
constexpr Format q4_1_format = gguf_format<OffsetBlock<FourBits>>("q4_1", 4, 3);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
