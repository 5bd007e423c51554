// GGUF Q4_0: a block of 32 weights is an f16 d, then 16 bytes of nibbles;
// value = d · (code − 8).

#include "quant_tensor/formats/gguf_block.h"

namespace nibble {
inline namespace v0 {
namespace detail {

extern const Format q4_0_format;
constexpr Format q4_0_format = gguf_format<SymmetricBlock<FourBits>>("q4_0", 4, 2);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
