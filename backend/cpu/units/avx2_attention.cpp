#ifndef NIBBLE_UNIT  // the tests define it to compile this file again through SIMDe
#define NIBBLE_UNIT kAvx2Attention
#include <immintrin.h>
#endif

#include "backend/cpu/units/attention.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/avx2_floats.inl.h"

constexpr int kAcross = 6;  // keys, or columns of values, of a register tile
constexpr int kFewRows = 2, kFewColumns = 4;

/// Of a NaN and a number the second.
inline F larger(F a, F b) { return {_mm256_max_ps(a.v, b.v)}; }
/// p · 2ⁿ for n ≤ 0; 0 where 2ⁿ would be subnormal.
inline F scale_by_power_of_two(F p, F n) {
  const __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127)), 23);
  const __m256 tiny = _mm256_cmp_ps(n.v, _mm256_set1_ps(-126.0f), _CMP_LT_OQ);
  return {_mm256_andnot_ps(tiny, _mm256_mul_ps(p.v, _mm256_castsi256_ps(power)))};
}
/// x in the lanes where place < limit, −∞ in the others.
inline F keep_below(F limit, F place, F x) {
  return {_mm256_blendv_ps(_mm256_set1_ps(-__builtin_inff()), x.v, _mm256_cmp_ps(place.v, limit.v, _CMP_LT_OQ))};
}
inline F broadcast_half(const unsigned char* p) {
  std::uint16_t half;
  __builtin_memcpy(&half, p, 2);
  return {_mm256_cvtph_ps(_mm_set1_epi16(static_cast<short>(half)))};
}
inline F from_signed_bytes(const unsigned char* p) { return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load64(p)))}; }

#include "backend/cpu/units/attention.inl.h"

}  // namespace

extern const AttentionUnit NIBBLE_UNIT;
constexpr AttentionUnit NIBBLE_UNIT = attention_unit();

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
