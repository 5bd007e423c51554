// Integers in vectors of AVX2. Included inside a unit's unnamed namespace, after its vectors of floats, so that what
// the unit's files share is written once and still has no external linkage.

inline std::uint32_t max_magnitude(const float* x, int n) {
  __m256i most = _mm256_setzero_si256();
  for (int i = 0; i < n; i += 8) {
    most = _mm256_max_epi32(most, _mm256_and_si256(load256(x + i), _mm256_set1_epi32(0x7fffffff)));
  }
  __m128i a = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
  a = _mm_max_epi32(a, _mm_shuffle_epi32(a, 0x4e));
  a = _mm_max_epi32(a, _mm_shuffle_epi32(a, 0xb1));
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(a));
}
inline std::int32_t total_of(__m256i v) {
  __m128i a = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  a = _mm_add_epi32(a, _mm_shuffle_epi32(a, 0x4e));
  a = _mm_add_epi32(a, _mm_shuffle_epi32(a, 0xb1));
  return _mm_cvtsi128_si32(a);
}
