#ifndef NIBBLE_FLOATS  // the tests define it to compile this file again through SIMDe
#define NIBBLE_FLOATS kAvx512Floats
#include <immintrin.h>
#endif

#include "backend/cpu/units/float_products.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/avx512_floats.inl.h"
#include "backend/cpu/units/elements.inl.h"

constexpr int kFewRows = 4;

template <int i>
inline F byte(F a) {
  const __m512i low = _mm512_srli_epi32(_mm512_castps_si512(a.v), 8 * i);
  return {_mm512_cvtepi32_ps(i == 3 ? low : _mm512_and_si512(low, _mm512_set1_epi32(255)))};
}

#include "backend/cpu/units/float_products.inl.h"

}  // namespace

extern const FloatProducts NIBBLE_FLOATS;
const FloatProducts NIBBLE_FLOATS = float_products();

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
