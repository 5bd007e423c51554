// AVX2 with FMA and F16C: two columns of a block in a vector, a group in each lane.
#ifndef NIBBLE_FEW_BLOCKS  // the tests define it to compile this file again through SIMDe
#define NIBBLE_FEW_BLOCKS kAvx2FewBlocks
#include <immintrin.h>
#endif

#include "backend/cpu/units/few_rows.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/avx2_floats.inl.h"
#include "backend/cpu/units/avx2_integers.inl.h"
#include "backend/cpu/units/each.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"

constexpr int kPackedRows = 1;  // sixteen registers hold no second one

struct Columns {
  __m256i v;

  static Columns load(const unsigned char* in, int half, int p) { return {load256(in + p * half)}; }
  static Columns load(const unsigned char* in, int next, int half, int p) {
    const unsigned char* first = in + p * half;
    return {_mm256_inserti128_si256(_mm256_castsi128_si256(load128(first)), load128(first + next), 1)};
  }
  static Columns low_bytes(Columns a, Columns b) { return {_mm256_unpacklo_epi8(a.v, b.v)}; }
  static Columns high_bytes(Columns a, Columns b) { return {_mm256_unpackhi_epi8(a.v, b.v)}; }
  static Columns low_words(Columns a, Columns b) { return {_mm256_unpacklo_epi32(a.v, b.v)}; }
  static Columns high_words(Columns a, Columns b) { return {_mm256_unpackhi_epi32(a.v, b.v)}; }
  static Columns low_pairs(Columns a, Columns b) { return {_mm256_unpacklo_epi64(a.v, b.v)}; }
  static Columns high_pairs(Columns a, Columns b) { return {_mm256_unpackhi_epi64(a.v, b.v)}; }
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
    return {_mm256_slli_epi32(v, kBy)};
  }
  template <int kBy>
  Columns down() const {
    return {_mm256_srli_epi32(v, kBy)};
  }
  Columns down(const LaneShifts& by, int p) const { return {_mm256_srlv_epi32(v, load256(by.v + kLanes * p))}; }
  Columns bits(int mask) const { return {_mm256_and_si256(v, of_all(mask))}; }
  Columns with(Columns a, int mask) const { return {_mm256_or_si256(v, a.bits(mask).v)}; }
  Columns numbers(const Numbers& table) const {
    return {_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load128(table.v)), v)};
  }
  Columns pick(const LaneBytes& places, int p) const { return {_mm256_shuffle_epi8(v, load256(places.v + 32 * p))}; }
  Columns flipped() const { return {_mm256_xor_si256(v, of_all(128))}; }
  Columns around(int zero, Columns signs) const {
    const __m256i each = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
    const __m256i negative = _mm256_cmpeq_epi8(_mm256_and_si256(signs.v, each), each);
    return {_mm256_add_epi8(of_all(zero), _mm256_sub_epi8(_mm256_xor_si256(v, negative), negative))};
  }
  template <class Eight>
  [[gnu::always_inline]] static Columns rows(Eight eight, int r, int p) {
    const auto at = [&](int i) __attribute__((always_inline)) { return static_cast<long long>(eight(r + 16 * p + i)); };
    return {_mm256_set_epi64x(at(3), at(2), at(1), at(0))};
  }

 private:
  static __m256i of_all(int byte) { return _mm256_set1_epi8(static_cast<char>(byte)); }
  template <int kOrder>
  static __m256i words(__m256i a, __m256i b) {
    return _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), kOrder));
  }
};

#include "backend/cpu/units/x86_sixteen.inl.h"

/// Numbers of lanes: of bytes that stand in their order, as integers and as bits of floats, and of floats for each
/// group.
inline __m128i of_part(Sixteen a, int p) { return p == 0 ? a.v : _mm_srli_si128(a.v, 8); }
inline F signed_of(Sixteen a, int p) { return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(of_part(a, p)))}; }
inline F halves_from_bit_7(Sixteen a, int p) {
  return {_mm256_cvtph_ps(_mm_slli_epi16(_mm_cvtepu8_epi16(of_part(a, p)), 7))};
}
inline F of_blocks(const EightNumbers& blocks, const LaneShifts& order, int p) {
  return {_mm256_permutevar8x32_ps(reinterpret_cast<const __m256&>(blocks), load256(order.v + kLanes * p))};
}
[[maybe_unused]] inline F of_groups(const float* groups, int count, const LaneShifts& order, int p) {
  const __m256 some = _mm256_loadu_ps(count == 2 * kLanes ? groups + kLanes * p : groups);
  return {_mm256_permutevar8x32_ps(some, load256(order.v + kLanes * p))};
}

constexpr int kFloatBytes = 2 * kLanes;
constexpr int place_of_float(int i) { return i; }
template <class Number>
constexpr float kFloatUnit = Number::kHalfUnit;
/// fp32 from bytes that are the bits of an f16 from bit kHalfShift on, but for their sign. Where they are fewer, all
/// but the sign set is no number.
template <class Number>
inline void floats_of_bytes(const unsigned char* in, F (&w)[2]) {
  constexpr int kShift = Number::kHalfShift;
  __m256i halves = _mm256_slli_epi16(_mm256_cvtepi8_epi16(load128(in)), kShift);
  if constexpr (kShift < 8) {
    const __m256i sign = _mm256_set1_epi16(static_cast<short>(0x8000)), most = _mm256_set1_epi16(127 << kShift);
    halves = _mm256_and_si256(halves, _mm256_or_si256(sign, most));
    halves = _mm256_or_si256(halves, _mm256_cmpeq_epi16(_mm256_andnot_si256(sign, halves), most));
  }
  w[0].v = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
  w[1].v = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
}

// ---- schemes -------------------------------------------------------------------------------------------------------

/// Eight rounded activations; adds them to `total`.
inline __m256i rounded(const float* x, float inverse, __m256i& total) {
  const __m256i v = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), _mm256_set1_ps(inverse)));
  total = _mm256_add_epi32(total, v);
  return v;
}
/// Sixteen in 16 bits.
inline __m256i rounded_group(const float* x, float inverse, __m256i& total) {
  const __m256i low = rounded(x, inverse, total), high = rounded(x + kLanes, inverse, total);
  return _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
}

/// A group's bytes, a word to each of four vectors.
inline void store_words(__m256i group, int lane, unsigned char* out) {
  std::int32_t words[4];
  store128(words, _mm_packs_epi16(_mm256_castsi256_si128(group), _mm256_extracti128_si256(group, 1)));
  for (int t = 0; t < 4; ++t) __builtin_memcpy(out + 32 * t + 4 * lane, &words[t], 4);
}

/// In 16 bits: codes of the first two words of a column meet one vector of x, those of the others the next.
struct Words {
  static constexpr int kBytes = 256;
  static constexpr float kMost = 32512.f;
  struct Sum {
    __m256i low, high;
  };
  struct Activations {
    __m256i low, high;
  };
  static std::int32_t round(const float* x, float inverse, int lane, unsigned char* out) {
    __m256i total = _mm256_setzero_si256();
    std::int64_t words[4];
    store256(words, rounded_group(x, inverse, total));
    unsigned char* place = out + lane % 4 / 2 * 32 + lane / 4 * 16 + lane % 2 * 8;
    for (int t = 0; t < 4; ++t) __builtin_memcpy(place + 64 * t, &words[t], 8);
    return total_of(total);
  }
  template <int t>
  static Activations load(const unsigned char* x) {
    return {load256(x + 64 * t), load256(x + 64 * t + 32)};
  }
  template <int>
  static void add(Sum& a, Columns w, Activations x) {
    const __m256i zero = _mm256_setzero_si256();
    a.low = _mm256_add_epi32(a.low, _mm256_madd_epi16(_mm256_unpacklo_epi8(w.v, zero), x.low));
    a.high = _mm256_add_epi32(a.high, _mm256_madd_epi16(_mm256_unpackhi_epi8(w.v, zero), x.high));
  }
  static __m256i total(Sum a) { return _mm256_hadd_epi32(a.low, a.high); }
};

/// In bytes, whose products by codes of kBits bits add up in 16 bits as often as these hold.
template <int kBits>
struct Bytes {
  static constexpr int kBytes = 128;
  static constexpr float kMost = 127.f;
  static constexpr int kInWords = kBits <= 5 ? 4 : kBits == 6 ? 2 : 1;
  static_assert(2 * kInWords * ((1 << kBits) - 1) * 128 < 32768);
  struct Sum {
    __m256i words, all;
  };
  static std::int32_t round(const float* x, float inverse, int lane, unsigned char* out) {
    __m256i total = _mm256_setzero_si256();
    store_words(rounded_group(x, inverse, total), lane, out);
    return total_of(total);
  }
  template <int t>
  static __m256i load(const unsigned char* x) {
    return load256(x + 32 * t);
  }
  template <int t>
  static void add(Sum& a, Columns w, __m256i x) {
    const __m256i product = _mm256_maddubs_epi16(w.v, x);
    a.words = t % kInWords == 0 ? product : _mm256_add_epi16(a.words, product);
    if constexpr ((t + 1) % kInWords == 0) {
      a.all = _mm256_add_epi32(a.all, _mm256_madd_epi16(a.words, _mm256_set1_epi16(1)));
    }
  }
  static __m256i total(Sum a) { return a.all; }
};

/// x = 256 · high + low, both int8: of each vector first the high bytes.
template <int kBits>
struct Halves {
  using Half = Bytes<kBits>;
  static constexpr int kBytes = 2 * Half::kBytes;
  static constexpr float kMost = 32512.f;
  struct Sum {
    typename Half::Sum high, low;
  };
  struct Activations {
    __m256i high, low;
  };
  static std::int32_t round(const float* x, float inverse, int lane, unsigned char* out) {
    __m256i total = _mm256_setzero_si256();
    const __m256i group = rounded_group(x, inverse, total);
    const __m256i high = _mm256_srai_epi16(_mm256_add_epi16(group, _mm256_set1_epi16(128)), 8);
    store_words(high, lane, out);
    store_words(_mm256_sub_epi16(group, _mm256_slli_epi16(high, 8)), lane, out + Half::kBytes);
    return total_of(total);
  }
  template <int t>
  static Activations load(const unsigned char* x) {
    return {Half::template load<t>(x), Half::template load<t>(x + Half::kBytes)};
  }
  template <int t>
  static void add(Sum& a, Columns w, Activations x) {
    Half::template add<t>(a.high, w, x.high);
    Half::template add<t>(a.low, w, x.low);
  }
  static __m256i total(Sum a) { return _mm256_add_epi32(_mm256_slli_epi32(a.high.all, 8), a.low.all); }
};

inline F numbers_of_sums(__m256i sums) { return {_mm256_cvtepi32_ps(sums)}; }
inline F numbers_of_sums(__m256i sums, const unsigned char* more) {
  return numbers_of_sums(_mm256_add_epi32(sums, load256(more)));
}

/// Codes of eight bits overflow sums of 16.
template <int kBits>
struct Schemes {
  using Standard = Halves<kBits>;
  using Fast = Bytes<kBits>;
};
template <>
struct Schemes<8> {
  using Standard = Words;
  using Fast = Words;
};
template <int kBits>
using Standard = typename Schemes<kBits>::Standard;
template <int kBits>
using Fast = typename Schemes<kBits>::Fast;

#include "backend/cpu/units/few_blocks.inl.h"
// what these have for some of its formats, before they are instantiated
#include "backend/cpu/units/avx2_grids.inl.h"
// all formats
#include "backend/cpu/units/few_streams.inl.h"
#include "backend/cpu/units/few_table.inl.h"

}  // namespace

extern const FewRowsKernels NIBBLE_FEW_BLOCKS;
const FewRowsKernels NIBBLE_FEW_BLOCKS = {kFewKernels, sizeof(kFewKernels) / sizeof(FewRowsKernel)};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
