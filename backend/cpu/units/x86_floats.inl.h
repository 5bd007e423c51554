// What vectors of floats of AVX2 and AVX-512 have in common. Included by theirs, after F and fold.

inline float sum(F a) {
  return fold(a, [](__m128 p, __m128 q) { return _mm_add_ps(p, q); });
}
inline float least(F a) {
  return fold(a, [](__m128 p, __m128 q) { return _mm_min_ps(p, q); });
}
inline float greatest(F a) {
  return fold(a, [](__m128 p, __m128 q) { return _mm_max_ps(p, q); });
}

inline std::int32_t load32(const void* p) {
  std::int32_t four;
  __builtin_memcpy(&four, p, sizeof four);
  return four;
}
inline __m128i load128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
inline void store128(void* p, __m128i a) { _mm_storeu_si128(static_cast<__m128i*>(p), a); }
inline __m256i load256(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline void store256(void* p, __m256i a) { _mm256_storeu_si256(static_cast<__m256i*>(p), a); }

inline float half_to_float(std::uint16_t h) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h))); }
inline std::uint16_t float_to_half(float f) {
  return static_cast<std::uint16_t>(_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(f), _MM_FROUND_TO_NEAREST_INT)));
}

/// In place of names those of sixteen bytes that they name; of a multiple of 32.
inline void bytes_of_names(const std::uint8_t (&sixteen)[16], std::uint8_t* names, std::int64_t count) {
  const __m256i table = _mm256_broadcastsi128_si256(load128(sixteen));
  for (std::int64_t i = 0; i < count; i += 32) store256(names + i, _mm256_shuffle_epi8(table, load256(names + i)));
}
