// Vectors of floats of AVX2 with FMA and F16C. Included inside a unit's unnamed namespace, after the intrinsics, so
// that what the unit's files share is written once and still has no external linkage.

constexpr int kLanes = 8;  // floats in a vector

struct F {
  __m256 v;
};

inline F load_f32(const void* p) { return {_mm256_loadu_ps(static_cast<const float*>(p))}; }
inline void store_f32(float* p, F a) { _mm256_storeu_ps(p, a.v); }
inline F broadcast(float a) { return {_mm256_set1_ps(a)}; }
inline F mul(F a, F b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline F add(F a, F b) { return {_mm256_add_ps(a.v, b.v)}; }
inline F fma(F a, F b, F c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline F round(F a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
inline F sub(F a, F b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline F div(F a, F b) { return {_mm256_div_ps(a.v, b.v)}; }
/// `b` where either is not a number.
inline F least(F a, F b) { return {_mm256_min_ps(a.v, b.v)}; }
inline F greatest(F a, F b) { return {_mm256_max_ps(a.v, b.v)}; }
template <class Op>
inline float fold(F a, Op op) {
  const __m128 four = op(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 two = op(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(op(two, _mm_shuffle_ps(two, two, 1)));
}
#include "backend/cpu/units/x86_floats.inl.h"
inline __m128i load64(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }
/// The sum of each vector's lanes.
inline void sums_of_four(const F (&x)[4], float* out) {
  const __m256 even = _mm256_hadd_ps(x[0].v, x[1].v), odd = _mm256_hadd_ps(x[2].v, x[3].v);
  const __m256 all = _mm256_hadd_ps(even, odd);
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
}
inline void store_rounded(std::uint8_t* p, F a) {
  const __m256i v = _mm256_cvtps_epi32(a.v);
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
}
inline F from_bytes(const std::uint8_t* p) { return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(load64(p)))}; }

/// Of sixteen numbers those that sixteen bytes name.
inline void numbers_of_names(const float* sixteen, const std::uint8_t* names, float* out) {
  const __m256 low = _mm256_loadu_ps(sixteen), high = _mm256_loadu_ps(sixteen + 8);
  for (int i = 0; i < 16; i += 8) {
    const __m256i name = _mm256_cvtepu8_epi32(load64(names + i));  // of which three bits tell the place in either half
    const __m256 is_high = _mm256_castsi256_ps(_mm256_slli_epi32(name, 28));
    _mm256_storeu_ps(
        out + i, _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, name), _mm256_permutevar8x32_ps(high, name), is_high));
  }
}

inline F load_f16(const void* p) { return {_mm256_cvtph_ps(load128(p))}; }
inline void store_f16(std::uint16_t* p, F a) { store128(p, _mm256_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT)); }
inline F load_bf16(const void* p) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load128(p)), 16))};
}
inline void store_bf16(std::uint16_t* p, F a) {
  const __m256i u = _mm256_castps_si256(a.v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
  const __m256i even = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd);
  const __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q));
  const __m256i words = _mm256_srli_epi32(_mm256_blendv_epi8(even, quiet, nan), 16);
  store128(p, _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

using WordVector = __m256i;
inline WordVector words_of(F a) { return _mm256_castps_si256(a.v); }
inline F floats_of(WordVector a) { return {_mm256_castsi256_ps(a)}; }
/// In place: row i, column j becomes row j, column i.
inline void transpose_words(WordVector (&r)[8]) {
  __m256i t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {  // r[i + j] has in its half h column 4h + j of rows i … i + 3
    r[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int j = 0; j < 4; ++j) {
    const __m256i low = _mm256_permute2x128_si256(r[j], r[4 + j], 0x20);
    r[4 + j] = _mm256_permute2x128_si256(r[j], r[4 + j], 0x31);
    r[j] = low;
  }
}
