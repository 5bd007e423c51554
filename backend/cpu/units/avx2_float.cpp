#ifndef NIBBLE_FLOATS  // the tests define it to compile this file again through SIMDe
#define NIBBLE_FLOATS kAvx2Floats
#include <immintrin.h>
#endif

#include "backend/cpu/units/float_products.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/avx2_floats.inl.h"
#include "backend/cpu/units/elements.inl.h"

constexpr int kPanelVectors = 2, kPanelRows = 6;  // 12 sums, two weights and an activation in 16 registers
constexpr int kFewRows = 2;

inline void transpose(F (&r)[kLanes]) {
  __m256 t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i].v, r[i + 1].v);
    t[i + 1] = _mm256_unpackhi_ps(r[i].v, r[i + 1].v);
  }
  for (int i = 0; i < 8; i += 4) {  // r[i + j] has in its lane L column 4L + j of rows i … i + 3
    r[i].v = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1].v = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2].v = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3].v = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (int j = 0; j < 4; ++j) {
    const __m256 low = r[j].v, high = r[4 + j].v;
    r[j].v = _mm256_permute2f128_ps(low, high, 0x20);
    r[4 + j].v = _mm256_permute2f128_ps(low, high, 0x31);
  }
}
template <int i>
inline F byte(F a) {
  const __m256i low = _mm256_srli_epi32(_mm256_castps_si256(a.v), 8 * i);
  return {_mm256_cvtepi32_ps(i == 3 ? low : _mm256_and_si256(low, _mm256_set1_epi32(255)))};
}

#include "backend/cpu/units/float_products.inl.h"

}  // namespace

extern const FloatProducts NIBBLE_FLOATS;
const FloatProducts NIBBLE_FLOATS = float_products();

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
