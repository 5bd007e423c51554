// What AVX-512 contributes to attention. Included inside an unnamed namespace.

#include "backend/cpu/units/avx512_floats.inl.h"

constexpr int kAcross = 8;  // keys, or columns of values, of a register tile
constexpr int kFewRows = 4, kFewColumns = 4;

/// Of a NaN and a number the second.
inline F larger(F a, F b) { return {_mm512_max_ps(a.v, b.v)}; }
/// p · 2ⁿ.
inline F scale_by_power_of_two(F p, F n) { return {_mm512_scalef_ps(p.v, n.v)}; }
/// x in the lanes where place < limit, −∞ in the others.
inline F keep_below(F limit, F place, F x) {
  return {_mm512_mask_mov_ps(_mm512_set1_ps(-__builtin_inff()), _mm512_cmp_ps_mask(place.v, limit.v, _CMP_LT_OQ), x.v)};
}
inline F broadcast_half(const unsigned char* p) {
  std::uint16_t half;
  __builtin_memcpy(&half, p, 2);
  return {_mm512_cvtph_ps(_mm256_set1_epi16(static_cast<short>(half)))};
}
inline F from_signed_bytes(const unsigned char* p) { return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load128(p)))}; }

#include "backend/cpu/units/attention.inl.h"
