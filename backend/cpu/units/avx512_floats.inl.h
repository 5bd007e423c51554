// Vectors of floats of AVX-512. Included inside a unit's unnamed namespace, after the intrinsics, so that what the
// unit's files share is written once and still has no external linkage.

constexpr int kLanes = 16;                        // floats in a vector
constexpr int kPanelVectors = 4, kPanelRows = 6;  // 24 sums, four weights and an activation in 32 registers

struct F {
  __m512 v;
};

inline F load_f32(const void* p) { return {_mm512_loadu_ps(p)}; }
inline void store_f32(float* p, F a) { _mm512_storeu_ps(p, a.v); }
inline F broadcast(float a) { return {_mm512_set1_ps(a)}; }
inline F mul(F a, F b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline F add(F a, F b) { return {_mm512_add_ps(a.v, b.v)}; }
inline F fma(F a, F b, F c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline F round(F a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
inline F sub(F a, F b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline F div(F a, F b) { return {_mm512_div_ps(a.v, b.v)}; }
/// `b` where either is not a number.
inline F least(F a, F b) { return {_mm512_min_ps(a.v, b.v)}; }
inline F greatest(F a, F b) { return {_mm512_max_ps(a.v, b.v)}; }
template <class Op>
inline float fold(F a, Op op) {
  const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a.v), 1));
  const __m256 low = _mm512_castps512_ps256(a.v);
  const __m128 even = op(_mm256_castps256_ps128(low), _mm256_castps256_ps128(high));
  const __m128 odd = op(_mm256_extractf128_ps(low, 1), _mm256_extractf128_ps(high, 1));
  const __m128 four = op(even, odd);
  const __m128 two = op(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(op(two, _mm_shuffle_ps(two, two, 1)));
}
#include "backend/cpu/units/x86_floats.inl.h"
/// The sum of each vector's lanes.
inline void sums_of_four(const F (&x)[4], float* out) {
  const __m512 even = _mm512_add_ps(_mm512_unpacklo_ps(x[0].v, x[1].v), _mm512_unpackhi_ps(x[0].v, x[1].v));
  const __m512 odd = _mm512_add_ps(_mm512_unpacklo_ps(x[2].v, x[3].v), _mm512_unpackhi_ps(x[2].v, x[3].v));
  const __m512 all = _mm512_add_ps(_mm512_shuffle_ps(even, odd, 0x44), _mm512_shuffle_ps(even, odd, 0xee));
  const __m256 eight =
      _mm256_add_ps(_mm512_castps512_ps256(all), _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(all), 1)));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1)));
}
inline void store_rounded(std::uint8_t* p, F a) { store128(p, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a.v))); }
inline F from_bytes(const std::uint8_t* p) { return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load128(p)))}; }

/// Of sixteen numbers those that sixteen bytes name.
inline void numbers_of_names(const float* sixteen, const std::uint8_t* names, float* out) {
  _mm512_storeu_ps(out, _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(load128(names)), _mm512_loadu_ps(sixteen)));
}

inline F load_f16(const void* p) { return {_mm512_cvtph_ps(load256(p))}; }
inline void store_f16(std::uint16_t* p, F a) { store256(p, _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT)); }
inline F load_bf16(const void* p) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load256(p)), 16))};
}
inline void store_bf16(std::uint16_t* p, F a) {
  const __m512i u = _mm512_castps_si512(a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  const __m512i even = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
  const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  const __m512i rounded = _mm512_mask_or_epi32(even, nan, u, _mm512_set1_epi32(0x400000));
  store256(p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
}

using WordVector = __m512i;
inline WordVector words_of(F a) { return _mm512_castps_si512(a.v); }
inline F floats_of(WordVector a) { return {_mm512_castsi512_ps(a)}; }
/// In place: row i, column j becomes row j, column i.
inline void transpose_words(WordVector (&r)[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {  // r[i + j] has in its lane L column 4L + j of rows i … i + 3
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int j = 0; j < 4; ++j) {
    const __m512i even_top = _mm512_shuffle_i32x4(r[j], r[4 + j], 0x88);
    const __m512i odd_top = _mm512_shuffle_i32x4(r[j], r[4 + j], 0xdd);
    const __m512i even_low = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0x88);
    const __m512i odd_low = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0xdd);
    r[j] = _mm512_shuffle_i32x4(even_top, even_low, 0x88);
    r[4 + j] = _mm512_shuffle_i32x4(odd_top, odd_low, 0x88);
    r[8 + j] = _mm512_shuffle_i32x4(even_top, even_low, 0xdd);
    r[12 + j] = _mm512_shuffle_i32x4(odd_top, odd_low, 0xdd);
  }
}
