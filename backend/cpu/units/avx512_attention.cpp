#ifndef NIBBLE_UNIT  // the tests define it to compile this file again through SIMDe
#define NIBBLE_UNIT kAvx512Attention
#include <immintrin.h>
#endif

#include "backend/cpu/units/attention.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {
#include "backend/cpu/units/avx512_attention.inl.h"
}  // namespace

extern const AttentionUnit NIBBLE_UNIT;
constexpr AttentionUnit NIBBLE_UNIT = attention_unit();

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
