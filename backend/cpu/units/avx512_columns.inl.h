// Columns of blocks for AVX-512, all four in a vector with a group in each lane; lanes' numbers, bytes that become
// floats, and schemes. Included inside a unit's unnamed namespace after its floats and integers, each.inl.h and
// columns.inl.h; what they are is told in few_blocks.inl.h and few_floats.inl.h.

struct Columns {
  __m512i v;

  static Columns load(const unsigned char* in, int half, int) {
    if (half == 32) return {_mm512_loadu_si512(in)};
    return {_mm512_inserti64x4(_mm512_castsi256_si512(load256(in)), load256(in + half), 1)};
  }
  static Columns load(const unsigned char* in, int next, int half, int p) {
    if (next == 16) return load(in, half, p);
    const auto two = [next](const unsigned char* p) {
      return _mm256_inserti128_si256(_mm256_castsi128_si256(load128(p)), load128(p + next), 1);
    };
    return {_mm512_inserti64x4(_mm512_castsi256_si512(two(in)), two(in + half), 1)};
  }
  static Columns words24(const unsigned char* in, const LaneShifts& places, int) {
    const __m512i first = _mm512_loadu_si512(in), last = _mm512_inserti64x4(first, load256(in + 64), 0);
    return {_mm512_permutex2var_epi32(first, _mm512_load_si512(places.v), last)};
  }
  static Columns low_bytes(Columns a, Columns b) { return {_mm512_unpacklo_epi8(a.v, b.v)}; }
  static Columns high_bytes(Columns a, Columns b) { return {_mm512_unpackhi_epi8(a.v, b.v)}; }
  static Columns low_words(Columns a, Columns b) { return {_mm512_unpacklo_epi32(a.v, b.v)}; }
  static Columns high_words(Columns a, Columns b) { return {_mm512_unpackhi_epi32(a.v, b.v)}; }
  static Columns low_pairs(Columns a, Columns b) { return {_mm512_unpacklo_epi64(a.v, b.v)}; }
  static Columns high_pairs(Columns a, Columns b) { return {_mm512_unpackhi_epi64(a.v, b.v)}; }
  static Columns even_words(Columns a, Columns b) { return {words<0x88>(a.v, b.v)}; }
  static Columns odd_words(Columns a, Columns b) { return {words<0xdd>(a.v, b.v)}; }
  void spread(Columns (&out)[4]) const {
    out[0].v = words<0x00>(v, v);
    out[1].v = words<0x55>(v, v);
    out[2].v = words<0xaa>(v, v);
    out[3].v = words<0xff>(v, v);
  }
  void doubled(Columns& even, Columns& odd) const {
    even.v = words<0xa0>(v, v);
    odd.v = words<0xf5>(v, v);
  }
  template <int kBy>
  Columns up() const {
    return {_mm512_slli_epi32(v, kBy)};
  }
  template <int kBy>
  Columns down() const {
    return {_mm512_srli_epi32(v, kBy)};
  }
  Columns down(const LaneShifts& by, int) const { return {_mm512_srlv_epi32(v, _mm512_load_si512(by.v))}; }
  Columns bits(int mask) const { return {_mm512_and_si512(v, of_all(mask))}; }
  Columns with(Columns a, int mask) const { return {_mm512_ternarylogic_epi32(v, a.v, of_all(mask), 0xf8)}; }
  Columns numbers(const Numbers& table) const {
    return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(load128(table.v)), v)};
  }
  Columns pick(const LaneBytes& places, int) const { return {_mm512_shuffle_epi8(v, _mm512_load_si512(places.v))}; }
  Columns flipped() const { return {_mm512_xor_si512(v, of_all(128))}; }
  Columns around(int zero, Columns signs) const {
    const __mmask64 negative =
        _mm512_test_epi8_mask(signs.v, _mm512_set1_epi64(static_cast<long long>(0x8040201008040201)));
    return {_mm512_mask_sub_epi8(_mm512_add_epi8(of_all(zero), v), negative, of_all(zero), v)};
  }
  template <class Eight>
  [[gnu::always_inline]] static Columns rows(Eight eight, int r, int) {
    const auto at = [&](int i) __attribute__((always_inline)) { return static_cast<long long>(eight(r + i)); };
    return {_mm512_set_epi64(at(19), at(18), at(17), at(16), at(3), at(2), at(1), at(0))};
  }

 private:
  static __m512i of_all(int byte) { return _mm512_set1_epi8(static_cast<char>(byte)); }
  template <int kOrder>
  static __m512i words(__m512i a, __m512i b) {
    return _mm512_castps_si512(_mm512_shuffle_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), kOrder));
  }
};

#include "backend/cpu/units/x86_sixteen.inl.h"

/// Numbers of lanes: of bytes that stand in their order, as integers and as bits of f16, and of floats for each group.
inline F signed_of(Sixteen a, int) { return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(a.v))}; }
inline F halves_from_bit_7(Sixteen a, int) {
  return {_mm512_cvtph_ps(_mm256_slli_epi16(_mm256_cvtepu8_epi16(a.v), 7))};
}
inline F of_blocks(const EightNumbers& blocks, const LaneShifts& order, int) {
  const __m512 all = _mm512_castps256_ps512(reinterpret_cast<const __m256&>(blocks));
  return {_mm512_permutexvar_ps(_mm512_load_si512(order.v), all)};
}
[[maybe_unused]] inline F of_groups(const float* groups, int, const LaneShifts& order, int) {
  return {_mm512_permutexvar_ps(_mm512_load_si512(order.v), _mm512_loadu_ps(groups))};
}

constexpr int kFloatBytes = 64;
/// The upper halves of numbers come from tables; neighbours are a word, of which vectors 0 and 2 have the low one.
constexpr int place_of_float(int i) { return i % 16 / 4 * 16 + i / 32 * 8 + i % 4 * 2 + i / 16 % 2; }
template <class Number>
constexpr float kFloatUnit = 1;
/// Byte 2 or 3 of the fp32 that bytes stand for, but for their sign.
struct UpperBytes {
  Table first, second;
};
template <class Number>
constexpr UpperBytes upper_bytes(int byte) {
  UpperBytes bytes{};
  for (std::uint32_t i = 0; i < 128; ++i) {
    (i < 64 ? bytes.first : bytes.second).v[i % 64] = static_cast<std::uint8_t>(Number::bits_of(i) >> 8 * byte);
  }
  return bytes;
}
template <class Number>
constexpr UpperBytes kUpperBytes[2] = {upper_bytes<Number>(2), upper_bytes<Number>(3)};
inline __m512i look_up(const UpperBytes& table, __m512i places) {
  return _mm512_permutex2var_epi8(_mm512_load_si512(table.first.v), places, _mm512_load_si512(table.second.v));
}
/// The upper halves of the fp32 that 64 bytes stand for, which are bf16: eight of each sixteen in a vector.
template <class Number>
[[gnu::always_inline]] inline void upper_halves(const unsigned char* in, __m512i (&halves)[2]) {
  const __m512i bytes = _mm512_loadu_si512(in), low = look_up(kUpperBytes<Number>[0], bytes);
  const __m512i size = look_up(kUpperBytes<Number>[1], bytes);
  const __m512i high = _mm512_ternarylogic_epi32(size, bytes, _mm512_set1_epi8(-128), 0xf8);  // with its sign
  halves[0] = _mm512_unpacklo_epi8(low, high);
  halves[1] = _mm512_unpackhi_epi8(low, high);
}
template <class Number>
[[gnu::always_inline]] inline void floats_of_bytes(const unsigned char* in, F (&w)[4]) {
  __m512i halves[2];
  upper_halves<Number>(in, halves);
  for (int i = 0; i < 2; ++i) {
    w[2 * i].v = _mm512_castsi512_ps(_mm512_slli_epi32(halves[i], 16));
    w[2 * i + 1].v = _mm512_castsi512_ps(_mm512_and_si512(halves[i], _mm512_set1_epi32(-65536)));
  }
}

// ---- schemes -------------------------------------------------------------------------------------------------------

/// gcc would read memory again for each packed row that meets it, and the processor reads but one vector a cycle.
inline __m512i load_once(const unsigned char* p) {
  using Vector = long long __attribute__((vector_size(64), may_alias));
  return reinterpret_cast<__m512i>(*reinterpret_cast<const volatile Vector*>(p));
}
inline __m512i rounded(const float* x, float inverse) {
  return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), _mm512_set1_ps(inverse)));
}
/// A group's bytes, a word to each of four vectors.
inline void store_words(__m512i bytes, int lane, std::int64_t step, unsigned char* out) {
  std::int32_t words[4];
  store128(words, _mm512_cvtepi32_epi8(bytes));
  for (int t = 0; t < 4; ++t) __builtin_memcpy(out + step * t + 4 * lane, &words[t], 4);
}

/// x = 256 · high + low, both int8: of each vector first the high bytes.
struct Halves {
  static constexpr int kBytes = 512;
  static constexpr float kMost = 32512.f;
  struct Sum {
    __m512i high, low;
  };
  struct Activations {
    __m512i high, low;
  };
  static std::int32_t round(const float* x, float inverse, int lane, unsigned char* out) {
    const __m512i v = rounded(x, inverse);
    const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(v, _mm512_set1_epi32(128)), 8);
    store_words(high, lane, 128, out);
    store_words(v, lane, 128, out + 64);  // modulo 256 the low half is v itself
    return total_of(v);
  }
  template <int t>
  static Activations load(const unsigned char* x) {
    return {load_once(x + 128 * t), load_once(x + 128 * t + 64)};
  }
  template <int>
  static void add(Sum& a, Columns w, Activations x) {
    a.high = _mm512_dpbusd_epi32(a.high, w.v, x.high);
    a.low = _mm512_dpbusd_epi32(a.low, w.v, x.low);
  }
  static __m512i total(Sum a) { return _mm512_add_epi32(_mm512_slli_epi32(a.high, 8), a.low); }
};

struct Bytes {
  static constexpr int kBytes = 256;
  static constexpr float kMost = 127.f;
  struct Sum {
    __m512i v;
  };
  static std::int32_t round(const float* x, float inverse, int lane, unsigned char* out) {
    const __m512i v = rounded(x, inverse);
    store_words(v, lane, 64, out);
    return total_of(v);
  }
  template <int t>
  static __m512i load(const unsigned char* x) {
    return load_once(x + 64 * t);
  }
  template <int>
  static void add(Sum& a, Columns w, __m512i x) {
    a.v = _mm512_dpbusd_epi32(a.v, w.v, x);
  }
  static __m512i total(Sum a) { return a.v; }
};

inline F numbers_of_sums(__m512i sums) { return {_mm512_cvtepi32_ps(sums)}; }
inline F numbers_of_sums(__m512i sums, const unsigned char* more) {
  return numbers_of_sums(_mm512_add_epi32(sums, _mm512_loadu_si512(more)));
}

template <int kBits>
using Standard = Halves;
template <int kBits>
using Fast = Bytes;
