// AVX2 with FMA and F16C: chunks of 256 weights, in halves with four blocks in a vector.
#ifndef NIBBLE_FEW_ROWS  // the tests define it to compile this file again through SIMDe
#define NIBBLE_FEW_ROWS kAvx2FewRows
#define NIBBLE_FEW_BLOCKS kAvx2FewBlocks
#include <immintrin.h>
#endif

#include "backend/cpu/units/blocks.h"
#include "backend/cpu/units/few_rows.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/avx2_floats.inl.h"
#include "backend/cpu/units/avx2_integers.inl.h"
#include "backend/cpu/units/each.inl.h"

constexpr int kPackedRows = 1;   // sixteen registers hold no second one's codes
constexpr int kHalfVectors = 4;  // of the codes of half a chunk: vector t holds codes 8t … 8t + 7 of its blocks

struct Codes {
  __m256i v;
};
/// A chunk of a packed row.
struct Chunk {
  Codes codes[2][kHalfVectors];
  F scale, bias;  ///< of the lane's block
};

/// The sums of four blocks, each in two lanes, and of the next four: 0, 1, 4, 5, 2, 3, 6, 7.
inline F join(__m256i first, __m256i second) { return {_mm256_cvtepi32_ps(_mm256_hadd_epi32(first, second))}; }
constexpr int lane_of(int block) { return block % 4 / 2 * 4 + block / 4 * 2 + block % 2; }
constexpr int block_of(int lane) { return lane % 4 / 2 * 4 + lane / 4 * 2 + lane % 2; }

/// The lanes of a chunk's blocks below `end`, or of those from `begin` on; the others are zero.
inline __m256 are_below(int end) {
  return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(end), _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7)));
}
inline F blocks_below(int end, F a) { return {_mm256_and_ps(are_below(end), a.v)}; }
inline F blocks_from(int begin, F a) { return {_mm256_andnot_ps(are_below(begin), a.v)}; }

// ---- schemes -------------------------------------------------------------------------------------------------------

/// A block of activations as integers.
struct Rounded {
  __m256i v[4];
  std::int32_t total() const {
    return total_of(_mm256_add_epi32(_mm256_add_epi32(v[0], v[1]), _mm256_add_epi32(v[2], v[3])));
  }
};
inline Rounded rounded(const float* x, float inverse) {
  Rounded r;
  for (int i = 0; i < 4; ++i)
    r.v[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), _mm256_set1_ps(inverse)));
  return r;
}
/// Those that fit into bytes, in the format's order, to piece j of four vectors.
inline void store_pieces(const Rounded& r, const std::uint8_t* order, int j, unsigned char* out) {
  const __m256i words = _mm256_packs_epi16(_mm256_packs_epi32(r.v[0], r.v[1]), _mm256_packs_epi32(r.v[2], r.v[3]));
  const __m256i bytes = _mm256_permutevar8x32_epi32(words, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  const __m256i from = load256(order), is_high = _mm256_slli_epi16(from, 3);
  const __m256i low = _mm256_shuffle_epi8(_mm256_permute2x128_si256(bytes, bytes, 0x00), from);
  const __m256i high = _mm256_shuffle_epi8(_mm256_permute2x128_si256(bytes, bytes, 0x11), from);
  std::int64_t t[4];
  store256(t, _mm256_blendv_epi8(low, high, is_high));
  for (int i = 0; i < 4; ++i) __builtin_memcpy(out + 32 * i + 8 * j, &t[i], 8);
}

/// Products of codes of kBits and bytes, for as many vectors as 16 bits have room for, and then in 32.
template <int kBits>
struct Bytes {
  static constexpr int kBytes = 32;
  static constexpr float kMost = 127.f;
  static constexpr int kRun = kBits < 6 ? 4 : 2, kRuns = kHalfVectors / kRun;
  static_assert(((1 << kBits) - 1) * 128 * 2 * kRun <= 32767);
  struct Sum {
    __m256i v[kRuns];
    int vectors;
  };
  static std::int32_t round(const float* x, float inverse, const std::uint8_t* order, int j, unsigned char* out) {
    const Rounded r = rounded(x, inverse);
    store_pieces(r, order, j, out);
    return r.total();
  }
  static __m256i load(const unsigned char* x, int t) { return load256(x + 32 * t); }
  [[gnu::always_inline]] static void add(Sum& a, Codes w, __m256i x) {
    __m256i& sum = a.v[a.vectors / kRun];
    const __m256i products = _mm256_maddubs_epi16(w.v, x);
    // Nothing saturates; gcc would reorder plain sums, and then lacks registers.
    sum = a.vectors % kRun == 0 ? products : _mm256_adds_epi16(sum, products);
    ++a.vectors;
  }
  [[gnu::always_inline]] static __m256i total(const Sum& a) { return times(a, 1); }
  [[gnu::always_inline]] static __m256i times(const Sum& a, std::int16_t factor) {
    __m256i all = _mm256_madd_epi16(a.v[0], _mm256_set1_epi16(factor));
#pragma GCC unroll 2
    for (int i = 1; i < kRuns; ++i) {
      all = _mm256_add_epi32(all, _mm256_madd_epi16(a.v[i], _mm256_set1_epi16(factor)));
    }
    return all;
  }
};

/// x = 256 · high + low, both int8: first the high bytes, then the low ones.
template <int kBits>
struct Halves {
  using Half = Bytes<kBits>;
  static constexpr int kBytes = 64, kLow = kHalfVectors * 32;
  static constexpr float kMost = 32512.f;
  struct Sum {
    typename Half::Sum high, low;
  };
  static std::int32_t round(const float* x, float inverse, const std::uint8_t* order, int j, unsigned char* out) {
    const Rounded r = rounded(x, inverse);
    Rounded high, low;
    for (int i = 0; i < 4; ++i) {
      high.v[i] = _mm256_srai_epi32(_mm256_add_epi32(r.v[i], _mm256_set1_epi32(128)), 8);
      low.v[i] = _mm256_sub_epi32(r.v[i], _mm256_slli_epi32(high.v[i], 8));
    }
    store_pieces(high, order, j, out);
    store_pieces(low, order, j, out + kLow);
    return r.total();
  }
  struct Activations {
    __m256i high, low;
  };
  static Activations load(const unsigned char* x, int t) { return {Half::load(x, t), Half::load(x + kLow, t)}; }
  [[gnu::always_inline]] static void add(Sum& a, Codes w, Activations x) {
    Half::add(a.high, w, x.high);
    Half::add(a.low, w, x.low);
  }
  [[gnu::always_inline]] static __m256i total(const Sum& a) {
    return _mm256_add_epi32(Half::times(a.high, 256), Half::times(a.low, 1));
  }
};

/// Codes of eight bits, two products of which fit no 16 bits: the even ones and the odd ones as words, which meet
/// words.
struct Words {
  static constexpr int kBytes = 64;
  static constexpr float kMost = 32512.f;
  struct Sum {
    __m256i v;
  };
  struct Activations {
    __m256i even, odd;
  };
  /// In natural order.
  static std::int32_t round(const float* x, float inverse, const std::uint8_t*, int j, unsigned char* out) {
    const Rounded r = rounded(x, inverse);
    const __m128i even_odd = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    for (int t = 0; t < 4; ++t) {
      const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(r.v[t]), _mm256_extracti128_si256(r.v[t], 1));
      std::int64_t parts[2];
      store128(parts, _mm_shuffle_epi8(words, even_odd));
      for (int i = 0; i < 2; ++i) __builtin_memcpy(out + kBytes * t + 32 * i + 8 * j, &parts[i], 8);
    }
    return r.total();
  }
  static Activations load(const unsigned char* x, int t) {
    return {load256(x + kBytes * t), load256(x + kBytes * t + 32)};
  }
  [[gnu::always_inline]] static void add(Sum& a, Codes w, Activations x) {
    const __m256i even = _mm256_and_si256(w.v, _mm256_set1_epi16(255)), odd = _mm256_srli_epi16(w.v, 8);
    a.v = _mm256_add_epi32(a.v, _mm256_add_epi32(_mm256_madd_epi16(even, x.even), _mm256_madd_epi16(odd, x.odd)));
  }
  static __m256i total(Sum a) { return a.v; }
};

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

#include "backend/cpu/units/avx2_few_codes.inl.h"
#include "backend/cpu/units/few_rows.inl.h"
#include "backend/cpu/units/few_tiles.inl.h"

/// A chunk of which there are but `left` weights, zeros behind them.
template <class Source>
[[gnu::noinline]] Chunk part_of_chunk(const Source& source, const typename Source::Place& at, std::int64_t left) {
  unsigned char room[Source::kRoom] = {};
  return source.template chunk<true>(source.copy(at, left, room), kChunkWeights);
}

// ---- MLX triplets --------------------------------------------------------------------------------------------------

/// A stream of bits, scales, biases.
template <int kCodeBits>
class AffineSource {
 public:
  using Standard = typename Schemes<kCodeBits>::Standard;
  using Fast = typename Schemes<kCodeBits>::Fast;
  struct Place {
    const unsigned char *codes, *scales, *biases;
  };
  static constexpr int kBits = kCodeBits, kChunkBytes = kChunkWeights / 8 * kBits;
  static constexpr int kRoom = kChunkBytes + 2 * kVectorBytes;
  static constexpr Order kOrder = window_order(codes_per_window(kBits));
  explicit AffineSource(const RowPart& a)
      : element_(a.scale),
        size_(element_ == Element::f32 ? 4 : 2),
        group_(a.group),
        bytes_(kChunkWeights / group_ * size_),
        begin_(a.begin),
        ahead_(a.ahead),
        scales_ahead_(a.ahead * 8 / kBits / group_ * size_) {
    alignas(32) std::uint8_t order[32] = {};
    for (int lane = 0; lane < kLanes; ++lane) {
      const int group = block_of(lane) * kFewBlock / group_;
      for (int byte = 0; byte < 4; ++byte) {
        if (element_ == Element::f32) {
          order[4 * lane + byte] = static_cast<std::uint8_t>(byte == 0 ? group : 0);
        } else if (element_ == Element::f16) {  // of the low half, as the conversion takes them
          if (byte < 2) order[2 * lane + byte] = static_cast<std::uint8_t>(2 * group + byte);
        } else {  // the high half of a float, above zeros
          order[4 * lane + byte] = static_cast<std::uint8_t>(byte < 2 ? 0x80 : 2 * group + byte - 2);
        }
      }
    }
    order_ = load256(order);
  }
  [[gnu::always_inline]] Place place(const RowBytes& row) const {
    const std::int64_t skip = begin_ / group_ * size_;
    return {row.component[0] + begin_ / 8 * kBits, row.component[1] + skip, row.component[2] + skip};
  }
  [[gnu::always_inline]] void next(Place& at) const {
    at.codes += kChunkBytes;
    at.scales += bytes_;
    at.biases += bytes_;
  }
  template <bool kWhole>
  [[gnu::always_inline]] Chunk chunk(const Place& at, std::int64_t left) const {
    if (!kWhole && left < kChunkWeights) [[unlikely]]
      return part_of_chunk(*this, at, left);
    fetch<kChunkBytes>(at.codes + ahead_);
    fetch<1>(at.scales + scales_ahead_);
    fetch<1>(at.biases + scales_ahead_);
    Chunk chunk;
    affine_half<kBits>(at.codes, chunk.codes[0]);
    affine_half<kBits>(at.codes + kChunkBytes / 2, chunk.codes[1]);
    if (bytes_ == 8) [[likely]] {
      chunk.scale = spread(_mm256_castsi128_si256(load64(at.scales)));
      chunk.bias = spread(_mm256_castsi128_si256(load64(at.biases)));
    } else {
      chunk.scale = spread(load_some(at.scales));
      chunk.bias = spread(load_some(at.biases));
    }
    return chunk;
  }
  Place copy(const Place& at, std::int64_t left, unsigned char* room) const {
    const Place to = {room, room + kChunkBytes, room + kChunkBytes + kVectorBytes};
    const auto scales = static_cast<unsigned long>(left / group_ * size_);
    __builtin_memcpy(room, at.codes, static_cast<unsigned long>(left / 8 * kBits));
    __builtin_memcpy(room + kChunkBytes, at.scales, scales);
    __builtin_memcpy(room + kChunkBytes + kVectorBytes, at.biases, scales);
    return to;
  }

 private:
  [[gnu::noinline]] __m256i load_some(const unsigned char* p) const {
    if (bytes_ == 4) return _mm256_castsi128_si256(_mm_cvtsi32_si128(load32(p)));
    return bytes_ == 32 ? load256(p) : _mm256_castsi128_si256(load128(p));
  }
  [[gnu::always_inline]] F spread(__m256i some) const {
    if (element_ == Element::f32) [[unlikely]]
      return {_mm256_castsi256_ps(_mm256_permutevar8x32_epi32(some, order_))};
    const __m256i lanes = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm256_castsi256_si128(some)), order_);
    return {element_ == Element::f16 ? _mm256_cvtph_ps(_mm256_castsi256_si128(lanes)) : _mm256_castsi256_ps(lanes)};
  }

  Element element_;
  int size_, group_, bytes_;  ///< of a scale; weights; of a chunk's scales
  std::int64_t begin_, ahead_, scales_ahead_;
  __m256i order_;
};

// ---- GGUF ----------------------------------------------------------------------------------------------------------

/// The codes of four blocks, in natural order.
template <class B>
[[gnu::always_inline]] inline void block_half(const unsigned char* in, Codes (&codes)[4]) {
  __m256i low[2];
  pieces_of(in + B::low, B::kHalf, low);
#pragma GCC unroll 4
  for (int t = 0; t < 4; ++t) {
    codes[t].v = _mm256_and_si256(_mm256_srli_epi16(low[t % 2], t / 2 * 4), _mm256_set1_epi8(15));
  }
  if constexpr (B::high != 0) {
    __m256i words[2];  // of which the first begins with each block's fifth bits
    pieces_of(in + B::high, B::kHalf, words);
    const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
#pragma GCC unroll 4
    for (int t = 0; t < 4; ++t) {
      const __m256i from = _mm256_broadcastsi128_si256(
          _mm_set_epi64x(0x0808080808080808 + t * 0x0101010101010101, t * 0x0101010101010101));
      const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(words[0], from), bit), bit);
      codes[t].v = _mm256_or_si256(codes[t].v, _mm256_and_si256(set, _mm256_set1_epi8(16)));
    }
  }
}
/// Eight bits with a sign, as their row's zero point makes of them.
template <>
[[gnu::always_inline]] inline void block_half<Block8_0>(const unsigned char* in, Codes (&codes)[4]) {
#pragma GCC unroll 2
  for (int part = 0; part < 2; ++part) {
    __m256i pieces[2];
    pieces_of(in + Block8_0::low + 16 * part, Block8_0::kHalf, pieces);
    codes[2 * part].v = _mm256_xor_si256(pieces[0], _mm256_set1_epi8(-128));
    codes[2 * part + 1].v = _mm256_xor_si256(pieces[1], _mm256_set1_epi8(-128));
  }
}

template <class B>
class BlockSource {
 public:
  static constexpr int kBits = B::zero == 128 ? 8 : B::high != 0 ? 5 : 4;
  using Standard = typename Schemes<kBits>::Standard;
  using Fast = typename Schemes<kBits>::Fast;
  using Place = const unsigned char*;
  static constexpr int kChunkBytes = kChunkBlocks * B::kHalf, kRoom = kChunkBytes;
  static constexpr Order kOrder = window_order(1);
  static_assert(B::minimum == 0 || B::minimum == 2);
  explicit BlockSource(const RowPart& a) : begin_(a.begin / kFewBlock * B::kHalf), ahead_(a.ahead) {}
  [[gnu::always_inline]] Place place(const RowBytes& row) const { return row.component[0] + begin_; }
  [[gnu::always_inline]] void next(Place& at) const { at += kChunkBytes; }
  template <bool kWhole>
  [[gnu::always_inline]] Chunk chunk(Place in, std::int64_t left) const {
    if (!kWhole && left < kChunkWeights) [[unlikely]]
      return part_of_chunk(*this, in, left);
    fetch<kChunkBytes>(in + ahead_);
    Chunk chunk;
    block_half<B>(in, chunk.codes[0]);
    block_half<B>(in + kChunkBytes / 2, chunk.codes[1]);
    scales(in, chunk.scale, chunk.bias);
    return chunk;
  }
  Place copy(Place at, std::int64_t left, unsigned char* room) const {
    __builtin_memcpy(room, at, static_cast<unsigned long>(left / kFewBlock * B::kHalf));
    return room;
  }

 private:
  [[gnu::always_inline]] static void scales(const unsigned char* in, F& scale, F& bias) {
    if constexpr (B::minimum == 0) {
      const auto half = [&](int b) {
        std::int16_t h;
        __builtin_memcpy(&h, in + b * B::kHalf, 2);
        return h;
      };
      scale.v = _mm256_cvtph_ps(_mm_setr_epi16(half(0), half(1), half(4), half(5), half(2), half(3), half(6), half(7)));
      bias.v = _mm256_mul_ps(scale.v, _mm256_set1_ps(-B::zero));
    } else {
      const auto both = [&](int b) { return load32(in + b * B::kHalf); };
      const __m256 first = _mm256_cvtph_ps(_mm_setr_epi32(both(0), both(1), both(2), both(3)));
      const __m256 second = _mm256_cvtph_ps(_mm_setr_epi32(both(4), both(5), both(6), both(7)));
      scale.v = _mm256_shuffle_ps(first, second, 0x88);
      bias.v = _mm256_shuffle_ps(first, second, 0xdd);
    }
  }

  std::int64_t begin_, ahead_;
};

}  // namespace

extern const FewRowsKernels NIBBLE_FEW_BLOCKS;
extern const FewRowsUnit NIBBLE_FEW_ROWS;
const FewRowsUnit NIBBLE_FEW_ROWS = few_rows_unit<AffineSource, BlockSource, Tiles>(12, 12, &NIBBLE_FEW_BLOCKS, false);

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
