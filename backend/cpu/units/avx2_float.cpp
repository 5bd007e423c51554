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
#include "backend/cpu/units/avx2_integers.inl.h"
#include "backend/cpu/units/elements.inl.h"

constexpr int kPanelVectors = 2, kPanelRows = 6;  // 12 sums, two weights and an activation in 16 registers
constexpr int kFewRows = 2;

inline void transpose(F (&r)[kLanes]) {
  __m256i words[kLanes];
  for (int i = 0; i < kLanes; ++i) words[i] = _mm256_castps_si256(r[i].v);
  transpose8(words);
  for (int i = 0; i < kLanes; ++i) r[i].v = _mm256_castsi256_ps(words[i]);
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
