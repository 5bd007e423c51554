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
