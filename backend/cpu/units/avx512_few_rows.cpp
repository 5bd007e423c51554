// AVX-512 with VBMI and VNNI: chunks of 512 weights, in halves with eight blocks in a vector.
#ifndef NIBBLE_FEW_ROWS  // the tests define it to compile this file again through SIMDe
#define NIBBLE_FEW_ROWS kAvx512FewRows
#define NIBBLE_FEW_BLOCKS kAvx512FewBlocks
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

constexpr int kPackedRows = 2;   // that share what is loaded of x
constexpr int kHalfVectors = 4;  // of the codes of half a chunk: vector t holds codes 8t … 8t + 7 of its blocks

struct Codes {
  __m512i v;
};
/// A chunk of a packed row.
struct Chunk {
  Codes codes[2][kHalfVectors];
  F scale, bias;  ///< of the lane's block
};

/// The sums of eight blocks, each in two lanes, and of the next eight: lanes 4q and 4q + 1 are of blocks 2q and 2q + 1,
/// lanes 4q + 2 and 4q + 3 of blocks 8 + 2q and 9 + 2q.
inline F join(__m512i first, __m512i second) {
  const __m512 a = _mm512_castsi512_ps(first), b = _mm512_castsi512_ps(second);
  const __m512i even = _mm512_castps_si512(_mm512_shuffle_ps(a, b, 0x88));
  const __m512i odd = _mm512_castps_si512(_mm512_shuffle_ps(a, b, 0xdd));
  return {_mm512_cvtepi32_ps(_mm512_add_epi32(even, odd))};
}
constexpr int lane_of(int block) { return block % 8 / 2 * 4 + block / 8 * 2 + block % 2; }
constexpr int block_of(int lane) { return lane / 4 * 2 + lane % 4 / 2 * 8 + lane % 2; }

// ---- schemes -------------------------------------------------------------------------------------------------------

/// gcc would read memory again for each packed row that meets it, and the processor reads but one vector a cycle. The
/// alignment of an alias made by `using` is forgotten by clang.
inline __m512i load_once(const unsigned char* p) {
  typedef long long Vector __attribute__((vector_size(64), aligned(1), may_alias));
  return reinterpret_cast<__m512i>(*reinterpret_cast<const volatile Vector*>(p));
}
inline __m512i rounded(const float* x, float inverse) {
  return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), _mm512_set1_ps(inverse)));
}
/// The lanes of a chunk's blocks below `end`, or of those from `begin` on; the others are zero.
inline __mmask16 are_below(int end) {
  const __m512i blocks = _mm512_setr_epi32(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
  return _mm512_cmpgt_epi32_mask(_mm512_set1_epi32(end), blocks);
}
inline F blocks_below(int end, F a) { return {_mm512_maskz_mov_ps(are_below(end), a.v)}; }
inline F blocks_from(int begin, F a) { return {_mm512_maskz_mov_ps(static_cast<__mmask16>(~are_below(begin)), a.v)}; }
/// 32 activations as bytes, in the format's order, to piece j of four vectors.
inline void store_pieces(__m512i low, __m512i high, __m256i order, int j, unsigned char* out) {
  const __m256i bytes = _mm256_set_m128i(_mm512_cvtepi32_epi8(high), _mm512_cvtepi32_epi8(low));
  const __m256i pieces = _mm256_permutexvar_epi8(order, bytes);
  std::int64_t t[4];
  store256(t, pieces);
  for (int i = 0; i < 4; ++i) __builtin_memcpy(out + 64 * i + 8 * j, &t[i], 8);
}

/// x = 256 · high + low, both int8: first the high bytes, then the low ones.
struct Halves {
  static constexpr int kBytes = 128;
  static constexpr int kLow = kHalfVectors * 64;
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
  static void add(Sum& a, Codes w, Activations x) {
    a.high = _mm512_dpbusd_epi32(a.high, w.v, x.high);
    a.low = _mm512_dpbusd_epi32(a.low, w.v, x.low);
  }
  static __m512i total(Sum a) { return _mm512_add_epi32(_mm512_slli_epi32(a.high, 8), a.low); }
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
  static void add(Sum& a, Codes w, __m512i x) { a.v = _mm512_dpbusd_epi32(a.v, w.v, x); }
  static __m512i total(Sum a) { return a.v; }
};

#include "backend/cpu/units/avx512_few_codes.inl.h"
#include "backend/cpu/units/few_rows.inl.h"
#include "backend/cpu/units/few_tiles.inl.h"

// ---- bit streams ---------------------------------------------------------------------------------------------------

/// Up to sixteen scales, brought to the lanes of their blocks.
struct ScaleSpread {
  ScaleSpread(Element element, int group) : half(element == Element::f16), size(element == Element::f32 ? 4 : 2) {
    std::uint8_t from[64] = {};
    for (int lane = 0; lane < kLanes; ++lane) {
      const int scale = block_of(lane) * kFewBlock / group;
      for (int byte = 0; byte < size; ++byte) {
        from[half ? 2 * lane + byte : 4 * lane + 4 - size + byte] = static_cast<std::uint8_t>(scale * size + byte);
      }
    }
    order = _mm512_loadu_si512(from);
    // A bf16 is the high half of a float.
    if (element == Element::bf16) used = 0xcccccccccccccccc;
  }
  F of(const unsigned char* p, __mmask64 some) const {
    const __m512i lanes = _mm512_maskz_permutexvar_epi8(used, order, load(p, some));
    return {half ? _mm512_cvtph_ps(_mm512_castsi512_si256(lanes)) : _mm512_castsi512_ps(lanes)};
  }
  /// Of no more lines than they lie in: the next one may still be on its way.
  static __m512i load(const unsigned char* p, __mmask64 some) {
    if (some >> 16 == 0) return _mm512_zextsi128_si512(_mm_maskz_loadu_epi8(static_cast<__mmask16>(some), p));
    if (some >> 32 == 0) return _mm512_zextsi256_si512(_mm256_maskz_loadu_epi8(static_cast<__mmask32>(some), p));
    return _mm512_maskz_loadu_epi8(some, p);
  }
  bool half;
  int size;
  __m512i order;
  __mmask64 used = ~std::uint64_t{0};
};

/// MLX triplets: a stream of bits, scales, biases.
template <int kCodeBits>
class AffineSource {
 public:
  using Standard = Halves;
  using Fast = Bytes;
  struct Place {
    const unsigned char *codes, *scales, *biases;
  };
  static constexpr int kBits = kCodeBits;
  static constexpr Order kOrder = affine_order(kBits);
  explicit AffineSource(const RowPart& a)
      : spread_(a.scale, a.group),
        codes_(a.begin / 8 * kBits),
        scales_(a.begin / a.group * spread_.size),
        scales_step_(kChunkWeights / a.group * spread_.size),
        all_(~std::uint64_t{0} >> (64 - scales_step_)),
        group_(a.group),
        ahead_(a.ahead),
        scales_ahead_(a.ahead * 8 / kBits / a.group * spread_.size) {}
  [[gnu::always_inline]] Place place(const RowBytes& row) const {
    return {row.component[0] + codes_, row.component[1] + scales_, row.component[2] + scales_};
  }
  [[gnu::always_inline]] void next(Place& at) const {
    at.codes += 2 * kHalf;
    at.scales += scales_step_;
    at.biases += scales_step_;
  }
  template <bool kWhole>
  [[gnu::always_inline]] Chunk chunk(const Place& at, std::int64_t left) const {
    Chunk chunk;
    const std::int64_t bytes = left / 8 * kBits;
    fetch<2 * kHalf>(at.codes + ahead_);
    affine_chunk<kBits, kWhole>(at.codes, bytes, chunk.codes[0]);
    affine_chunk<kBits, kWhole>(at.codes + kHalf, bytes - kHalf, chunk.codes[1]);
    fetch<1>(at.scales + scales_ahead_);
    fetch<1>(at.biases + scales_ahead_);
    const bool all = kWhole || left >= kChunkWeights;
    const __mmask64 some = all ? all_ : ~(~std::uint64_t{0} << left / group_ * spread_.size);
    chunk.scale = spread_.of(at.scales, some);
    chunk.bias = spread_.of(at.biases, some);
    return chunk;
  }

 private:
  static constexpr int kHalf = kChunkWeights / 2 / 8 * kBits;
  ScaleSpread spread_;
  std::int64_t codes_, scales_, scales_step_;
  __mmask64 all_;
  std::int64_t group_, ahead_, scales_ahead_;
};

// ---- blocks --------------------------------------------------------------------------------------------------------

/// Eight blocks of at most 24 bytes, in three vectors that may overlap.
template <class B>
struct Blocks {
  static constexpr int kBytes = 8 * B::kHalf, kLast = kBytes - 64;
  template <bool kWhole>
  static Blocks load(const unsigned char* in, std::int64_t bytes) {
    return {load_bytes<kWhole>(in, 0, bytes), load_bytes<kWhole>(in, 64, bytes), load_bytes<kWhole>(in, kLast, bytes)};
  }
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
/// The scales of half a chunk, in the order of lanes and with gaps for the other half's, and behind them the minima.
template <class B>
constexpr Picks scales() {
  Picks picks{};
  for (int i = 0; i < 64; ++i) pick<B>(picks, i, block_of(i % 32 / 2) % 8, i / 32 * B::minimum + i % 2);
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
  using Place = const unsigned char*;
  static constexpr int kBits = B::high != 0 ? 5 : 4;
  static constexpr Order kOrder = natural_order();
  explicit BlockSource(const RowPart& a) : begin_(a.begin / 32 * B::kHalf), ahead_(a.ahead) {}
  [[gnu::always_inline]] Place place(const RowBytes& row) const { return row.component[0] + begin_; }
  [[gnu::always_inline]] void next(Place& in) const { in += 2 * kHalf; }
  template <bool kWhole>
  [[gnu::always_inline]] Chunk chunk(Place in, std::int64_t left) const {
    const std::int64_t bytes = left / 32 * B::kHalf;
    fetch<2 * kHalf>(in + ahead_);
    Chunk chunk;
    const __m512i first = half<kWhole>(in, bytes, chunk.codes[0]);
    const __m512i second = half<kWhole>(in + kHalf, bytes - kHalf, chunk.codes[1]);
    const __m512i both = _mm512_mask_mov_epi32(first, 0xaaaa, second);
    chunk.scale.v = _mm512_cvtph_ps(_mm512_castsi512_si256(both));
    if constexpr (B::minimum != 0) {
      chunk.bias.v = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(both, 1));
    } else {
      chunk.bias.v = _mm512_mul_ps(chunk.scale.v, _mm512_set1_ps(-B::zero));
    }
    return chunk;
  }

 private:
  static constexpr int kHalf = 8 * B::kHalf;

  /// The codes of half a chunk; returns its scales.
  template <bool kWhole>
  [[gnu::always_inline]] static __m512i half(const unsigned char* in, std::int64_t bytes, Codes (&codes)[4]) {
    const auto blocks = Blocks<B>::template load<kWhole>(in, bytes);
    const __m512i nibble = _mm512_set1_epi8(15);
    for (int i = 0; i < 2; ++i) {
      const __m512i low = picked(blocks, kLowBits<B>[i]);
      codes[i].v = _mm512_and_si512(low, nibble);
      codes[2 + i].v = _mm512_and_si512(_mm512_srli_epi16(low, 4), nibble);
    }
    if constexpr (B::high != 0) {
      const __m512i words = picked(blocks, kHighBits<B>);
      for (int t = 0; t < 4; ++t) {
        const __m512i bits = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(fifth_bits(t)), words);
        codes[t].v = _mm512_or_si512(codes[t].v, _mm512_and_si512(bits, _mm512_set1_epi8(16)));
      }
    }
    return picked(blocks, kScales<B>);
  }

  std::int64_t begin_, ahead_;
};

/// GGUF blocks of bytes, of which each fills half a vector.
template <>
class BlockSource<Block8_0> {
 public:
  using Standard = Halves;
  using Fast = Bytes;
  using Place = const unsigned char*;
  static constexpr int kBits = 8;
  static constexpr Order kOrder = natural_order();
  explicit BlockSource(const RowPart& a) : begin_(a.begin / 32 * kBlock), ahead_(a.ahead) {}
  [[gnu::always_inline]] Place place(const RowBytes& row) const { return row.component[0] + begin_; }
  [[gnu::always_inline]] void next(Place& in) const { in += 2 * kHalf; }
  template <bool kWhole>
  [[gnu::always_inline]] Chunk chunk(Place in, std::int64_t left) const {
    fetch<2 * kHalf>(in + ahead_);
    unsigned char last[kWhole ? 1 : 2 * kHalf];
    if (!kWhole && left < kChunkWeights) {
      __builtin_memset(last, 0, sizeof last);
      __builtin_memcpy(last, in, static_cast<std::size_t>(left / 32 * kBlock));
      in = last;
    }
    Chunk chunk;
    codes(in, chunk.codes[0]);
    codes(in + kHalf, chunk.codes[1]);
    const __m512i scales = _mm512_or_si512(_mm512_or_si512(scales_of<0>(in), scales_of<1>(in + 128)),
                                           _mm512_or_si512(scales_of<2>(in + kHalf), scales_of<3>(in + kHalf + 128)));
    chunk.scale.v = _mm512_cvtph_ps(_mm512_castsi512_si256(scales));
    chunk.bias.v = _mm512_mul_ps(chunk.scale.v, _mm512_set1_ps(-Block8_0::zero));
    return chunk;
  }

 private:
  static constexpr int kBlock = Block8_0::kHalf, kHalf = 8 * kBlock;

  /// Blocks j and j + 2 in a vector.
  [[gnu::always_inline]] static __m512i two(const unsigned char* in, int j) {
    const unsigned char* block = in + j * kBlock + Block8_0::low;
    return load_halves(block, block + 2 * kBlock);
  }
  [[gnu::always_inline]] static void codes(const unsigned char* in, Codes (&codes)[4]) {
    transpose_pieces({two(in, 0), two(in, 1), two(in, 4), two(in, 5)}, codes);
    for (Codes& c : codes) c.v = _mm512_xor_si512(c.v, _mm512_set1_epi8(-128));
  }

  /// The scales that lie in the two vectors from `in` on, where their blocks have their lanes; zeros elsewhere.
  template <int kQuarter>
  [[gnu::always_inline]] static __m512i scales_of(const unsigned char* in) {
    constexpr static Picks kPicks = scales_in(kQuarter);
    return _mm512_maskz_permutex2var_epi8(kPicks.late, _mm512_loadu_si512(in), load_table(kPicks.from),
                                          _mm512_loadu_si512(in + 64));
  }
  static constexpr Picks scales_in(int quarter) {
    Picks picks{};
    for (int block = 4 * quarter; block < 4 * quarter + 4; ++block) {
      for (int byte = 0; byte < 2; ++byte) {
        const int to = 2 * lane_of(block) + byte;
        picks.from.v[to] = static_cast<std::uint8_t>(block % 8 * kBlock - quarter % 2 * 128 + byte);
        picks.late |= std::uint64_t{1} << to;
      }
    }
    return picks;
  }

  std::int64_t begin_, ahead_;
};

}  // namespace

extern const FewRowsKernels NIBBLE_FEW_BLOCKS;
extern const FewRowsUnit NIBBLE_FEW_ROWS;
const FewRowsUnit NIBBLE_FEW_ROWS = few_rows_unit<AffineSource, BlockSource, Tiles>(24, 40, &NIBBLE_FEW_BLOCKS);

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
