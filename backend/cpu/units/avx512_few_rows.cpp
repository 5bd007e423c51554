// AVX-512 with VBMI and VNNI: chunks of 256 weights, eight blocks in a vector.
#ifndef NIBBLE_FEW_ROWS  // the tests define it to compile this file again through SIMDe
#define NIBBLE_FEW_ROWS kAvx512FewRows
#include <immintrin.h>
#endif

#include "backend/cpu/units/blocks.h"
#include "backend/cpu/units/few_rows.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/avx512_floats.inl.h"
#include "backend/cpu/units/avx512_integers.inl.h"

constexpr int kPackedRows = 2;    // that share what is loaded of x
constexpr int kChunkVectors = 4;  // of a chunk's codes: vector t holds codes 8t … 8t + 7 of its blocks

struct Codes {
  __m512i v;
};
/// A chunk of a packed row.
struct Chunk {
  Codes codes[kChunkVectors];
  F scale, bias;  ///< of the lane's block
};

// ---- schemes -------------------------------------------------------------------------------------------------------

/// gcc would read memory again for each packed row that meets it, and the processor reads but one vector a cycle.
inline __m512i load_once(const unsigned char* p) {
  using Vector = long long __attribute__((vector_size(64), may_alias));
  return reinterpret_cast<__m512i>(*reinterpret_cast<const volatile Vector*>(p));
}
inline __m512i rounded(const float* x, float inverse) {
  return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), _mm512_set1_ps(inverse)));
}
/// A vector's lanes below `end` and from `begin` on; the others are zero.
inline F lanes_below(int end, F a) { return {_mm512_maskz_mov_ps(static_cast<__mmask16>((1u << end) - 1), a.v)}; }
inline F lanes_from(int begin, F a) { return {_mm512_maskz_mov_ps(static_cast<__mmask16>(~0u << begin), a.v)}; }
/// 32 activations as bytes, in the format's order, to piece j of four vectors.
inline void store_pieces(__m512i low, __m512i high, __m256i order, int j, unsigned char* out) {
  const __m256i bytes = _mm256_set_m128i(_mm512_cvtepi32_epi8(high), _mm512_cvtepi32_epi8(low));
  const __m256i pieces = _mm256_permutexvar_epi8(order, bytes);
  std::int64_t t[4];
  store256(t, pieces);
  for (int i = 0; i < 4; ++i) __builtin_memcpy(out + 64 * i + 8 * j, &t[i], 8);
}

/// x = 256 · high + low, both int8: first the high halves of a chunk, then the low ones.
struct Halves {
  static constexpr int kBytes = 128;
  static constexpr int kLow = kChunkVectors * 64;
  static constexpr float kMost = 32512.f;
  struct Sum {
    __m512i high, low;
  };
  struct Activations {
    __m512i high, low;
  };
  static std::int32_t round(const float* x, float inverse, const std::uint8_t* order, int j, unsigned char* out) {
    const __m512i v[2] = {rounded(x, inverse), rounded(x + kLanes, inverse)};
    __m512i high[2], low[2];
    for (int i = 0; i < 2; ++i) {
      high[i] = _mm512_srai_epi32(_mm512_add_epi32(v[i], _mm512_set1_epi32(128)), 8);
      low[i] = _mm512_sub_epi32(v[i], _mm512_slli_epi32(high[i], 8));
    }
    store_pieces(high[0], high[1], load256(order), j, out);
    store_pieces(low[0], low[1], load256(order), j, out + kLow);
    return total_of(_mm512_add_epi32(v[0], v[1]));
  }
  static Activations load(const unsigned char* x, int t) {
    return {load_once(x + 64 * t), load_once(x + kLow + 64 * t)};
  }
  static void add(Sum& a, Codes w, Activations x, int) {
    a.high = _mm512_dpbusd_epi32(a.high, w.v, x.high);
    a.low = _mm512_dpbusd_epi32(a.low, w.v, x.low);
  }
  static F total(Sum a) { return {_mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(a.high, 8), a.low))}; }
};

struct Bytes {
  static constexpr int kBytes = 64;
  static constexpr float kMost = 127.f;
  struct Sum {
    __m512i v;
  };
  static std::int32_t round(const float* x, float inverse, const std::uint8_t* order, int j, unsigned char* out) {
    const __m512i v[2] = {rounded(x, inverse), rounded(x + kLanes, inverse)};
    store_pieces(v[0], v[1], load256(order), j, out);
    return total_of(_mm512_add_epi32(v[0], v[1]));
  }
  static __m512i load(const unsigned char* x, int t) { return load_once(x + 64 * t); }
  static void add(Sum& a, Codes w, __m512i x, int) { a.v = _mm512_dpbusd_epi32(a.v, w.v, x); }
  static F total(Sum a) { return {_mm512_cvtepi32_ps(a.v)}; }
};

#include "backend/cpu/units/few_rows.inl.h"

// ---- bit streams ---------------------------------------------------------------------------------------------------

inline __m512i load_table(const Table& t) { return _mm512_load_si512(t.v); }

template <int kBits>
inline __m512i codes_of(__m512i pieces) {
  if constexpr (kBits == 8) return pieces;
  const __m512i shifted = _mm512_multishift_epi64_epi8(load_table(kShift<kBits>), pieces);
  return _mm512_and_si512(shifted, _mm512_set1_epi8(static_cast<char>((1 << kBits) - 1)));
}

/// The 64 bytes of a chunk from `start` on, of which the row has `bytes`: the rest is zero.
inline __m512i load_bytes(const unsigned char* chunk, int start, std::int64_t bytes) {
  const std::int64_t left = bytes - start;
  if (left >= 64) [[likely]]
    return _mm512_loadu_si512(chunk + start);
  return left <= 0 ? _mm512_setzero_si512() : _mm512_maskz_loadu_epi8(~(~std::uint64_t{0} << left), chunk + start);
}

/// Three bits: a chunk is one vector and a half, a block three words. Its first two hold the codes of t = 0 and 1, its
/// last two those of t = 2 and 3.
constexpr int kSecondStart = 32;
constexpr Table two_words(int first) {
  Table table{};
  for (int i = 0; i < 16; ++i) {
    const int word = 3 * (i / 2) + first + i % 2;
    table.v[4 * i] = static_cast<std::uint8_t>(word < 16 ? word : 16 + word - kSecondStart / 4);
  }
  return table;
}
constexpr Table kTwoWords[2] = {two_words(0), two_words(1)};
constexpr long long three_bits(int from) {
  std::uint64_t shifts = 0;
  for (int i = 0; i < 8; ++i) shifts |= static_cast<std::uint64_t>(from + 3 * i) << 8 * i;
  return static_cast<long long>(shifts);
}

/// More bits: a vector holds the pieces of two blocks, first those of t = 0; then vectors exchange lanes.
constexpr int pair_start(int bits, int i) { return i < 3 ? 8 * bits * i : 32 * bits - 64; }
constexpr Table pair_table(int bits, bool last) {
  Table table{};
  const int skip = last ? 64 - 8 * bits : 0;
  for (int i = 0; i < 64; ++i) {
    table.v[i] =
        static_cast<std::uint8_t>(skip + 4 * bits * (i / 8 % 2) + bits * (i / 16) + (i % 8 < bits ? i % 8 : 0));
  }
  return table;
}
template <int kBits>
constexpr Table kPair[2] = {pair_table(kBits, false), pair_table(kBits, true)};

inline void transpose_lanes(__m512i (&v)[4]) {
  const __m512i even0 = _mm512_shuffle_i32x4(v[0], v[1], 0x88), odd0 = _mm512_shuffle_i32x4(v[0], v[1], 0xdd);
  const __m512i even1 = _mm512_shuffle_i32x4(v[2], v[3], 0x88), odd1 = _mm512_shuffle_i32x4(v[2], v[3], 0xdd);
  v[0] = _mm512_shuffle_i32x4(even0, even1, 0x88);
  v[1] = _mm512_shuffle_i32x4(odd0, odd1, 0x88);
  v[2] = _mm512_shuffle_i32x4(even0, even1, 0xdd);
  v[3] = _mm512_shuffle_i32x4(odd0, odd1, 0xdd);
}

constexpr Table qword_table(int first) {
  Table table{};
  for (int j = 0; j < 8; ++j) table.v[8 * j] = static_cast<std::uint8_t>(2 * j + first);
  return table;
}
constexpr Table kQwords[2] = {qword_table(0), qword_table(1)};

template <int kBits>
[[gnu::always_inline]] inline void affine_chunk(const unsigned char* in, std::int64_t bytes, Codes (&codes)[4]) {
  const __m512i mask = _mm512_set1_epi8(static_cast<char>((1 << kBits) - 1));
  if constexpr (kBits == 2) {
    const __m512i all = load_bytes(in, 0, bytes);
    codes[0].v = _mm512_and_si512(all, mask);
    codes[1].v = _mm512_and_si512(_mm512_srli_epi16(all, 2), mask);
    codes[2].v = _mm512_and_si512(_mm512_srli_epi16(all, 4), mask);
    codes[3].v = _mm512_and_si512(_mm512_srli_epi16(all, 6), mask);
  } else if constexpr (kBits == 4) {
    const __m512i first = load_bytes(in, 0, bytes), second = load_bytes(in, 64, bytes);
    for (int h = 0; h < 2; ++h) {
      const __m512i half = _mm512_permutex2var_epi64(first, load_table(kQwords[h]), second);
      codes[2 * h].v = _mm512_and_si512(half, mask);
      codes[2 * h + 1].v = _mm512_and_si512(_mm512_srli_epi16(half, 4), mask);
    }
  } else if constexpr (kBits == 3) {
    const __m512i first = load_bytes(in, 0, bytes), second = load_bytes(in, kSecondStart, bytes);
    for (int t = 0; t < 4; ++t) {
      const __m512i words = _mm512_permutex2var_epi32(first, load_table(kTwoWords[t / 2]), second);
      const __m512i shifts = _mm512_set1_epi64(three_bits(24 * t - 32 * (t / 2)));
      codes[t].v = _mm512_and_si512(_mm512_multishift_epi64_epi8(shifts, words), mask);
    }
  } else {
    __m512i v[4];
    for (int i = 0; i < 4; ++i) {
      const __m512i pair = load_bytes(in, pair_start(kBits, i), bytes);
      v[i] = _mm512_permutexvar_epi8(load_table(kPair<kBits>[i == 3]), pair);
    }
    transpose_lanes(v);
    for (int t = 0; t < 4; ++t) codes[t].v = codes_of<kBits>(v[t]);
  }
}

/// Up to eight scales, brought to the lanes of their blocks: two for each 32 weights.
struct ScaleSpread {
  ScaleSpread(Element element, int group) : half(element == Element::f16), size(element == Element::f32 ? 4 : 2) {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i scale = _mm512_srl_epi32(lane, _mm_cvtsi32_si128(group == 32 ? 1 : group == 64 ? 2 : 3));
    const auto bytes = [&](int step, int first) {
      return _mm512_add_epi32(_mm512_mullo_epi32(scale, _mm512_set1_epi32(step)), _mm512_set1_epi32(first));
    };
    if (element == Element::f32) {
      order = bytes(0x04040404, 0x03020100);
    } else if (half) {
      order = _mm512_castsi256_si512(_mm512_cvtepi32_epi16(bytes(0x0202, 0x0100)));
    } else {  // the high half of a float; byte 31 of so few words is zero
      order = bytes(0x02020000, 0x01001f1f);
    }
  }
  F of(const unsigned char* p, __mmask32 some) const {
    const __m512i bytes = _mm512_castsi256_si512(_mm256_maskz_loadu_epi8(some, p));
    const __m512i lanes = _mm512_permutexvar_epi8(order, bytes);
    return {half ? _mm512_cvtph_ps(_mm512_castsi512_si256(lanes)) : _mm512_castsi512_ps(lanes)};
  }
  bool half;
  int size;
  __m512i order;
};

/// MLX triplets: a stream of bits, scales, biases.
template <int kBits>
class AffineSource {
 public:
  using Standard = Halves;
  using Fast = Bytes;
  explicit AffineSource(const RowPart& a)
      : spread_(a.scale, a.group),
        codes_(a.begin / 8 * kBits),
        scales_(a.begin / a.group * spread_.size),
        scales_step_(256 / a.group * spread_.size),
        bytes_(a.count / 8 * kBits),
        scale_bytes_(a.count / a.group * spread_.size),
        ahead_(a.ahead) {}
  static constexpr Order kOrder = affine_order(kBits);
  [[gnu::always_inline]] Chunk chunk(const RowBytes& row, std::int64_t c) const {
    Chunk chunk;
    const unsigned char* codes = row.component[0] + codes_ + c * 32 * kBits;
    fetch<32 * kBits>(codes + ahead_);
    affine_chunk<kBits>(codes, bytes_ - c * 32 * kBits, chunk.codes);
    const std::int64_t skip = c * scales_step_, left = scale_bytes_ - skip;
    const auto some = static_cast<__mmask32>((std::uint64_t{1} << (left < scales_step_ ? left : scales_step_)) - 1);
    chunk.scale = spread_.of(row.component[1] + scales_ + skip, some);
    chunk.bias = spread_.of(row.component[2] + scales_ + skip, some);
    return chunk;
  }

 private:
  ScaleSpread spread_;
  std::int64_t codes_, scales_, scales_step_, bytes_, scale_bytes_, ahead_;
};

// ---- blocks --------------------------------------------------------------------------------------------------------

/// Eight blocks of at most 24 bytes, in three vectors that may overlap.
template <class B>
struct Blocks {
  static constexpr int kBytes = 8 * B::kHalf, kLast = kBytes - 64;
  Blocks(const unsigned char* in, std::int64_t bytes)
      : first(load_bytes(in, 0, bytes)), second(load_bytes(in, 64, bytes)), last(load_bytes(in, kLast, bytes)) {}
  __m512i first, second, last;
};

/// Bytes picked from such blocks: byte i is byte at(i % per) of block i / per, and those past the second vector are
/// `late`.
struct Picks {
  Table from;
  std::uint64_t late;
};
template <class B>
constexpr void pick(Picks& picks, int to, int block, int byte) {
  const int at = block * B::kHalf + byte;
  picks.from.v[to] = static_cast<std::uint8_t>(at < 128 ? at : at - Blocks<B>::kLast);
  if (at >= 128) picks.late |= std::uint64_t{1} << to;
}
/// Eight bytes of each block.
template <class B>
constexpr Picks eight_bytes(int first) {
  Picks picks{};
  for (int i = 0; i < 64; ++i) pick<B>(picks, i, i / 8, first + i % 8);
  return picks;
}
/// Two halves of each block: its scale and its minimum, or its scale twice.
template <class B>
constexpr Picks scales() {
  Picks picks{};
  for (int i = 0; i < 32; ++i) pick<B>(picks, i, i / 4, B::minimum != 0 ? i % 4 : i % 2);
  return picks;
}
template <class B>
constexpr Picks kLowBits[2] = {eight_bytes<B>(B::low), eight_bytes<B>(B::low + 8)};
template <class B>
constexpr Picks kHighBits = eight_bytes<B>(B::high);  // of which four are used
template <class B>
constexpr Picks kScales = scales<B>();

template <class B>
inline __m512i picked(const Blocks<B>& blocks, const Picks& picks) {
  const __m512i from = load_table(picks.from);
  const __m512i early = _mm512_permutex2var_epi8(blocks.first, from, blocks.second);
  return _mm512_mask_permutexvar_epi8(early, picks.late, from, blocks.last);
}

/// Shifts that bring bit 8t + i of a word to bit 4 of byte i.
constexpr long long fifth_bits(int t) {
  std::uint64_t shifts = 0;
  for (int i = 0; i < 8; ++i) shifts |= static_cast<std::uint64_t>((8 * t + i + 60) % 64) << 8 * i;
  return static_cast<long long>(shifts);
}

constexpr Order natural_order() {
  Order order{};
  for (int i = 0; i < kFewBlock; ++i) order.v[i] = static_cast<std::uint8_t>(i);
  return order;
}

/// GGUF blocks of up to six bits.
template <class B>
class BlockSource {
 public:
  using Standard = Halves;
  using Fast = Bytes;
  explicit BlockSource(const RowPart& a)
      : begin_(a.begin / 32 * B::kHalf), bytes_(a.count / 32 * B::kHalf), ahead_(a.ahead) {}
  static constexpr Order kOrder = natural_order();
  [[gnu::always_inline]] Chunk chunk(const RowBytes& row, std::int64_t c) const {
    static_assert(B::minimum == 0 || B::minimum == 2);
    constexpr int kBytes = 8 * B::kHalf;
    const unsigned char* in = row.component[0] + begin_ + c * kBytes;
    fetch<kBytes>(in + ahead_);
    const std::int64_t left = bytes_ - c * kBytes;
    Chunk chunk;
    const Blocks<B> blocks(in, left);
    const __m512i nibble = _mm512_set1_epi8(15);
    for (int i = 0; i < 2; ++i) {
      const __m512i bytes = picked(blocks, kLowBits<B>[i]);
      chunk.codes[i].v = _mm512_and_si512(bytes, nibble);
      chunk.codes[2 + i].v = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble);
    }
    if constexpr (B::high != 0) {
      const __m512i words = picked(blocks, kHighBits<B>);
      for (int t = 0; t < 4; ++t) {
        const __m512i bits = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(fifth_bits(t)), words);
        chunk.codes[t].v = _mm512_or_si512(chunk.codes[t].v, _mm512_and_si512(bits, _mm512_set1_epi8(16)));
      }
    }
    const __m512 both = _mm512_cvtph_ps(_mm512_castsi512_si256(picked(blocks, kScales<B>)));
    if constexpr (B::minimum != 0) {
      chunk.scale.v = _mm512_moveldup_ps(both);
      chunk.bias.v = _mm512_movehdup_ps(both);
    } else {
      chunk.scale.v = both;
      chunk.bias.v = _mm512_mul_ps(both, _mm512_set1_ps(-B::zero));
    }
    return chunk;
  }

 private:
  std::int64_t begin_, bytes_, ahead_;
};

/// GGUF blocks of bytes. Where the eight of a chunk lie: past the end of a row, the last one again.
class ByteBlocks {
 public:
  ByteBlocks(const unsigned char* first, std::int64_t last) : first_(first), last_(last) {}
  const unsigned char* at(std::int64_t j) const { return first_ + (j < last_ ? j : last_) * Block8_0::kHalf; }
  /// Sixteen bytes of each block, the first eight of all and the last eight of all.
  [[gnu::always_inline]] void halves(int offset, Codes* codes) const {
    const auto four = [&](int j) {
      const __m512i two =
          _mm512_inserti32x4(_mm512_castsi128_si512(load128(at(j) + offset)), load128(at(j + 2) + offset), 1);
      return _mm512_inserti32x4(_mm512_inserti32x4(two, load128(at(j + 4) + offset), 2), load128(at(j + 6) + offset),
                                3);
    };
    const __m512i even = four(0), odd = four(1), sign = _mm512_set1_epi8(-128);
    codes[0].v = _mm512_xor_si512(_mm512_unpacklo_epi64(even, odd), sign);
    codes[1].v = _mm512_xor_si512(_mm512_unpackhi_epi64(even, odd), sign);
  }
  __m256i scales() const {
    std::int16_t half[8];
    for (int j = 0; j < 8; ++j) __builtin_memcpy(&half[j], at(j), 2);
    const __m128i all = _mm_setr_epi16(half[0], half[1], half[2], half[3], half[4], half[5], half[6], half[7]);
    return _mm256_set_m128i(_mm_unpackhi_epi16(all, all), _mm_unpacklo_epi16(all, all));
  }

 private:
  const unsigned char* first_;
  std::int64_t last_;
};
template <>
class BlockSource<Block8_0> {
 public:
  using Standard = Halves;
  using Fast = Bytes;
  explicit BlockSource(const RowPart& a) : begin_(a.begin / 32), blocks_(a.count / 32), ahead_(a.ahead) {}
  static constexpr Order kOrder = natural_order();
  [[gnu::always_inline]] Chunk chunk(const RowBytes& row, std::int64_t c) const {
    const unsigned char* in = row.component[0] + (begin_ + 8 * c) * Block8_0::kHalf;
    fetch<8 * Block8_0::kHalf>(in + ahead_);
    Chunk chunk;
    const auto read = [&](const ByteBlocks& blocks) {
      blocks.halves(Block8_0::low, chunk.codes);
      blocks.halves(Block8_0::low + 16, chunk.codes + 2);
      chunk.scale.v = _mm512_cvtph_ps(blocks.scales());
    };
    const std::int64_t left = blocks_ - 8 * c;
    left >= 8 ? read(ByteBlocks(in, 7)) : read(ByteBlocks(in, left - 1));
    chunk.bias.v = _mm512_mul_ps(chunk.scale.v, _mm512_set1_ps(-Block8_0::zero));
    return chunk;
  }

 private:
  std::int64_t begin_, blocks_, ahead_;
};

}  // namespace

extern const FewRowsUnit NIBBLE_FEW_ROWS;
const FewRowsUnit NIBBLE_FEW_ROWS = few_rows_unit<AffineSource, BlockSource>();

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
