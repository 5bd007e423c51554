// GGUF Q5_0: a block of 32 weights is an f16 d, a u32 of fifth bits, then 16 bytes of nibbles;
// value = d · (code − 16).

#include "quant_tensor/formats/gguf_block.h"

namespace nibble {
inline namespace v0 {
namespace detail {

extern const Format q5_0_format;
constexpr Format q5_0_format = gguf_format<SymmetricBlock<FiveBits>>("q5_0", 5, 6);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
