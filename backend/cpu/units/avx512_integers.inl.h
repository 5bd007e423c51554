// Integers in vectors of AVX-512. Included inside a unit's unnamed namespace, after its vectors of floats, so that what
// the unit's files share is written once and still has no external linkage.

struct Table {
  alignas(64) std::uint8_t v[64];
};
/// Shifts of 0, b, …, 7b bring eight codes of b bits to their bytes.
constexpr Table shift_table(int bits) {
  Table t{};
  for (int i = 0; i < 64; ++i) t.v[i] = static_cast<std::uint8_t>(i % 8 * bits);
  return t;
}
template <int kBits>
constexpr Table kShift = shift_table(kBits);

inline __m128i fold(__m512i a, __m128i (*op)(__m128i, __m128i)) {
  const __m128i four = op(op(_mm512_castsi512_si128(a), _mm512_extracti32x4_epi32(a, 1)),
                          op(_mm512_extracti32x4_epi32(a, 2), _mm512_extracti32x4_epi32(a, 3)));
  const __m128i two = op(four, _mm_shuffle_epi32(four, 0x4e));
  return op(two, _mm_shuffle_epi32(two, 0xb1));
}
inline std::uint32_t max_magnitude(const float* x, int n) {
  __m512i most = _mm512_setzero_si512();
  for (int i = 0; i < n; i += 16) {
    const __m512i bits = _mm512_and_si512(_mm512_loadu_si512(x + i), _mm512_set1_epi32(0x7fffffff));
    most = _mm512_max_epi32(most, bits);
  }
  const __m128i all = fold(most, [](__m128i a, __m128i b) { return _mm_max_epi32(a, b); });
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(all));
}
inline std::int32_t total_of(__m512i a) {
  return _mm_cvtsi128_si32(fold(a, [](__m128i p, __m128i q) { return _mm_add_epi32(p, q); }));
}
