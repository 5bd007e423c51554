// Integers in vectors of AVX2. Included inside a unit's unnamed namespace, after its vectors of floats, so that what
// the unit's files share is written once and still has no external linkage.

/// In place: row i, column j becomes row j, column i.
inline void transpose8(__m256i (&r)[8]) {
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
