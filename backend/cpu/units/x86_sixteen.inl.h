// Sixteen bytes, see quant_tensor/formats/blocks/columns.inl.h. Included inside a unit's unnamed namespace after its
// floats.

struct Sixteen {
  __m128i v;

  static Sixteen load(const unsigned char* p) { return {load128(p)}; }
  /// Four bytes, and those `step` further on.
  static Sixteen words(const unsigned char* p, int step) {
    return {_mm_setr_epi32(load32(p), load32(p + step), load32(p + 2 * step), load32(p + 3 * step))};
  }
  Sixteen pick(const LaneGroups& from) const { return {_mm_shuffle_epi8(v, load128(from.v))}; }
  template <int kBy>
  Sixteen up() const {
    return {_mm_slli_epi32(v, kBy)};
  }
  template <int kBy>
  Sixteen down() const {
    return {_mm_srli_epi32(v, kBy)};
  }
  Sixteen down(const LaneShifts& by) const { return {_mm_srlv_epi32(v, load128(by.v))}; }
  Sixteen bits(int mask) const { return {_mm_and_si128(v, _mm_set1_epi8(static_cast<char>(mask)))}; }
  Sixteen bits(const LaneGroups& masks) const { return {_mm_and_si128(v, load128(masks.v))}; }
  Sixteen with(Sixteen a) const { return {_mm_or_si128(v, a.v)}; }
  Sixteen unless(int n) const { return {_mm_andnot_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(static_cast<char>(n))), v)}; }
  Sixteen less(int n) const { return {_mm_sub_epi8(v, _mm_set1_epi8(static_cast<char>(n)))}; }
};

inline void widen_halves(const EightWords& halves, EightNumbers& numbers) {
  reinterpret_cast<__m256&>(numbers) = _mm256_cvtph_ps(reinterpret_cast<const __m128i&>(halves));
}
inline void widen_bfloats(const EightWords& words, EightNumbers& numbers) {
  const __m256i wide = _mm256_cvtepu16_epi32(reinterpret_cast<const __m128i&>(words));
  reinterpret_cast<__m256i&>(numbers) = _mm256_slli_epi32(wide, 16);
}
inline void widen_bytes(const unsigned char* in, EightBits& bits) {
  reinterpret_cast<__m256i&>(bits) = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(in)));
}
