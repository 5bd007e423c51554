// AVX2 with FMA and F16C: chunks of 128 weights, four blocks in a vector.
#ifndef NIBBLE_FEW_ROWS  // the tests define it to compile this file again through SIMDe
#define NIBBLE_FEW_ROWS kAvx2FewRows
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

constexpr int kPackedRows = 1;    // sixteen registers hold no second one
constexpr int kChunkVectors = 4;  // of a chunk's codes: piece j of vector t holds eight codes of block j

struct Codes {
  __m256i v;
};
/// A chunk of a packed row.
struct Chunk {
  Codes codes[kChunkVectors];
  F scale, bias;  ///< of the lane's block
};

// ---- schemes -------------------------------------------------------------------------------------------------------

/// Sixteen rounded activations, and their sum added to `total`.
inline __m256i rounded(const float* x, float inverse, __m256i& total) {
  const __m256 unit = _mm256_set1_ps(inverse);
  const __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), unit));
  const __m256i high = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + kLanes), unit));
  total = _mm256_add_epi32(total, _mm256_add_epi32(low, high));
  return _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
}
/// 32 activations as bytes, in the format's order, to piece j of four vectors.
inline void store_pieces(__m256i low, __m256i high, __m256i order, int j, unsigned char* out) {
  const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xd8);
  // Each half picks what lies in it, and zero for the rest: an index with its highest bit set.
  const __m256i first =
      _mm256_shuffle_epi8(_mm256_permute4x64_epi64(bytes, 0x44), _mm256_add_epi8(order, _mm256_set1_epi8(0x70)));
  const __m256i second =
      _mm256_shuffle_epi8(_mm256_permute4x64_epi64(bytes, 0xee), _mm256_sub_epi8(order, _mm256_set1_epi8(16)));
  std::int64_t t[4];
  store256(t, _mm256_or_si256(first, second));
  for (int i = 0; i < 4; ++i) __builtin_memcpy(out + 32 * i + 8 * j, &t[i], 8);
}

/// Products of a byte of code and one of x, of which `kTogether` vectors of pairs add up in 16 bits.
template <int kTogether>
struct Bytes {
  static constexpr int kBytes = 32, kSums = kChunkVectors / kTogether;
  static constexpr float kMost = 127.f;
  struct Sum {
    __m256i v[kSums];
  };
  static std::int32_t round(const float* x, float inverse, const std::uint8_t* order, int j, unsigned char* out) {
    __m256i total = _mm256_setzero_si256();
    const __m256i low = rounded(x, inverse, total), high = rounded(x + 16, inverse, total);
    store_pieces(low, high, load256(order), j, out);
    return total_of(total);
  }
  static __m256i load(const unsigned char* x, int t) { return load256(x + 32 * t); }
  static void add(Sum& a, Codes w, __m256i x, int t) {
    a.v[t / kTogether] = _mm256_add_epi16(a.v[t / kTogether], _mm256_maddubs_epi16(w.v, x));
  }
  static F total(const Sum& a) {
    __m256i sum = _mm256_madd_epi16(a.v[0], _mm256_set1_epi16(1));
    if constexpr (kSums == 2) sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a.v[1], _mm256_set1_epi16(1)));
    return {_mm256_cvtepi32_ps(sum)};
  }
};

/// The same for x = 256 · high + low, both int8: first the high halves of a chunk, then the low ones.
template <int kTogether>
struct Halves {
  static constexpr int kBytes = 64, kSums = kChunkVectors / kTogether, kLow = kChunkVectors * 32;
  static constexpr float kMost = 32512.f;
  struct Sum {
    __m256i high[kSums], low[kSums];
  };
  struct Activations {
    __m256i high, low;
  };
  static std::int32_t round(const float* x, float inverse, const std::uint8_t* order, int j, unsigned char* out) {
    __m256i total = _mm256_setzero_si256(), high[2], low[2];
    for (int i = 0; i < 2; ++i) {
      const __m256i v = rounded(x + 16 * i, inverse, total);
      high[i] = _mm256_srai_epi16(_mm256_add_epi16(v, _mm256_set1_epi16(128)), 8);
      low[i] = _mm256_sub_epi16(v, _mm256_slli_epi16(high[i], 8));
    }
    store_pieces(high[0], high[1], load256(order), j, out);
    store_pieces(low[0], low[1], load256(order), j, out + kLow);
    return total_of(total);
  }
  static Activations load(const unsigned char* x, int t) { return {load256(x + 32 * t), load256(x + kLow + 32 * t)}; }
  static void add(Sum& a, Codes w, Activations x, int t) {
    const int i = t / kTogether;
    a.high[i] = _mm256_add_epi16(a.high[i], _mm256_maddubs_epi16(w.v, x.high));
    a.low[i] = _mm256_add_epi16(a.low[i], _mm256_maddubs_epi16(w.v, x.low));
  }
  static F total(const Sum& a) {
    __m256i sum = _mm256_setzero_si256();
    for (int i = 0; i < kSums; ++i) {
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a.high[i], _mm256_set1_epi16(256)));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a.low[i], _mm256_set1_epi16(1)));
    }
    return {_mm256_cvtepi32_ps(sum)};
  }
};

/// 16-bit activations and codes widened to 16 bits, for codes of eight: two of them would saturate a sum of pairs.
struct Words {
  static constexpr int kBytes = 64;
  static constexpr float kMost = 32512.f;
  struct Sum {
    __m256i even, odd;  ///< four lanes for each of blocks 0 and 2, and of 1 and 3
  };
  struct Activations {
    __m256i even, odd;
  };
  static std::int32_t round(const float* x, float inverse, const std::uint8_t*, int j, unsigned char* out) {
    __m256i total = _mm256_setzero_si256();
    for (int i = 0; i < 2; ++i) {
      const __m256i v = rounded(x + 16 * i, inverse, total);
      unsigned char* to = out + 128 * i + j % 2 * 32 + j / 2 * 16;
      store128(to, _mm256_castsi256_si128(v));
      store128(to + 64, _mm256_extracti128_si256(v, 1));
    }
    return total_of(total);
  }
  static Activations load(const unsigned char* x, int t) { return {load256(x + 64 * t), load256(x + 64 * t + 32)}; }
  static void add(Sum& a, Codes w, Activations x, int) {
    const __m256i zero = _mm256_setzero_si256();
    a.even = _mm256_add_epi32(a.even, _mm256_madd_epi16(_mm256_unpacklo_epi8(w.v, zero), x.even));
    a.odd = _mm256_add_epi32(a.odd, _mm256_madd_epi16(_mm256_unpackhi_epi8(w.v, zero), x.odd));
  }
  static F total(const Sum& a) { return {_mm256_cvtepi32_ps(_mm256_hadd_epi32(a.even, a.odd))}; }
};

template <int kBits>
struct Schemes {
  using Standard = Halves<kBits <= 5 ? 4 : 2>;
  using Fast = Bytes<kBits <= 5 ? 4 : 2>;
};
template <>
struct Schemes<8> {
  using Standard = Words;
  using Fast = Words;
};

#include "backend/cpu/units/few_rows.inl.h"

/// Asks for what will follow beyond the processor's own prefetching, which stops at pages; into the second cache, because
/// the first can wait for few lines at a time.
template <int kBytes>  // gcc would drop a call of it, having no effect
[[gnu::always_inline]] inline void fetch(const unsigned char* p) {
  for (int i = 0; i < kBytes; i += 64) _mm_prefetch(reinterpret_cast<const char*>(p + i), _MM_HINT_T1);
}

// ---- blocks --------------------------------------------------------------------------------------------------------

/// Where the four blocks of a chunk lie.
template <int kStride>
struct WholeChunk {
  const unsigned char* first;
  const unsigned char* at(int j) const { return first + j * kStride; }
};
/// The same at the end of a row; past it, the last block again.
template <int kStride>
struct PartOfChunk {
  const unsigned char* first;
  std::int64_t last;
  const unsigned char* at(int j) const { return first + (j < last ? j : last) * kStride; }
};

inline __m256i pair(__m128i low, __m128i high) { return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1); }
/// Sixteen bytes of each block: the first eight of all, and the last eight of all.
template <class P>
[[gnu::always_inline]] inline void load_halves(P blocks, int offset, __m256i (&v)[2]) {
  const __m256i even = pair(load128(blocks.at(0) + offset), load128(blocks.at(2) + offset));
  const __m256i odd = pair(load128(blocks.at(1) + offset), load128(blocks.at(3) + offset));
  v[0] = _mm256_unpacklo_epi64(even, odd);
  v[1] = _mm256_unpackhi_epi64(even, odd);
}
template <class P>
[[gnu::always_inline]] inline __m128i load_words(P blocks, int offset) {
  std::int32_t w[4];
  for (int j = 0; j < 4; ++j) __builtin_memcpy(&w[j], blocks.at(j) + offset, 4);
  return _mm_setr_epi32(w[0], w[1], w[2], w[3]);
}
inline __m256i low_bits(__m256i bytes, int shift, int bits) {
  return _mm256_and_si256(_mm256_srli_epi16(bytes, shift), _mm256_set1_epi8(static_cast<char>((1 << bits) - 1)));
}

// ---- bit streams ---------------------------------------------------------------------------------------------------

/// Eight codes of an odd width: the two bytes that hold each, and the factor that shifts it to the top of its word.
struct Extract {
  alignas(16) std::uint8_t bytes[16];
  alignas(16) std::uint16_t factor[8];
};
/// Of a block of 4b bytes the first sixteen hold codes 0 … 15, the last sixteen the others; three bits fit into twelve.
constexpr int window_start(int bits, int t) { return bits > 4 && t > 1 ? 4 * bits - 16 : 0; }
constexpr Extract extract_table(int bits, int t) {
  Extract e{};
  for (int i = 0; i < 8; ++i) {
    const int bit = (8 * t + i) * bits, byte = bit / 8 - window_start(bits, t);
    e.bytes[2 * i] = static_cast<std::uint8_t>(byte);
    e.bytes[2 * i + 1] = static_cast<std::uint8_t>(byte + 1 < 16 ? byte + 1 : 0x80);
    e.factor[i] = static_cast<std::uint16_t>(1 << (16 - bits - bit % 8));
  }
  return e;
}
template <int kBits>
constexpr Extract kExtract[4] = {extract_table(kBits, 0), extract_table(kBits, 1), extract_table(kBits, 2),
                                 extract_table(kBits, 3)};

template <int kBits>
inline __m128i load_window(const unsigned char* block, int t) {
  if constexpr (kBits > 4) return load128(block + window_start(kBits, t));
  std::int32_t rest;
  __builtin_memcpy(&rest, block + 8, 4);
  return _mm_insert_epi32(load64(block), rest, 2);
}
template <int kBits>
inline __m256i extract(__m256i windows, int t) {
  const Extract& e = kExtract<kBits>[t];
  const __m256i words = _mm256_shuffle_epi8(windows, _mm256_broadcastsi128_si256(load128(e.bytes)));
  return _mm256_srli_epi16(_mm256_mullo_epi16(words, _mm256_broadcastsi128_si256(load128(e.factor))), 16 - kBits);
}

template <int kBits, class P>
[[gnu::always_inline]] inline void affine_chunk(P blocks, Codes (&codes)[4]) {
  __m256i half[2];
  if constexpr (kBits == 2) {
    const __m256i all = pair(_mm_unpacklo_epi64(load64(blocks.at(0)), load64(blocks.at(1))),
                             _mm_unpacklo_epi64(load64(blocks.at(2)), load64(blocks.at(3))));
    for (int t = 0; t < 4; ++t) codes[t].v = low_bits(all, 2 * t, 2);
  } else if constexpr (kBits == 4) {
    load_halves(blocks, 0, half);
    for (int t = 0; t < 4; ++t) codes[t].v = low_bits(half[t / 2], t % 2 * 4, 4);
  } else if constexpr (kBits == 8) {
    for (int t = 0; t < 4; t += 2) {
      load_halves(blocks, 8 * t, half);
      codes[t].v = half[0], codes[t + 1].v = half[1];
    }
  } else {
    for (int t = 0; t < 4; ++t) {
      const auto window = [&](int j) { return load_window<kBits>(blocks.at(j), t); };
      const __m256i even = extract<kBits>(pair(window(0), window(2)), t);
      codes[t].v = _mm256_packus_epi16(even, extract<kBits>(pair(window(1), window(3)), t));
    }
  }
}
/// The order in which codes of 2 and 4 bits come out of eight bytes by shifts alone; others come in natural order.
constexpr Order affine_order(int bits) {
  Order order{};
  const int per_byte = bits == 2 || bits == 4 ? 8 / bits : 1;  // vectors that come from the same eight bytes
  for (int i = 0; i < kFewBlock; ++i) {
    const int t = i / 8;
    order.v[i] = static_cast<std::uint8_t>(t / per_byte * 8 * per_byte + i % 8 * per_byte + t % per_byte);
  }
  return order;
}

/// Up to four scales, brought to the lanes of their blocks: two for each 32 weights.
struct ScaleSpread {
  ScaleSpread(Element element, int group) : half(element == Element::f16), size(element == Element::f32 ? 4 : 2) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i scale = _mm256_srl_epi32(lane, _mm_cvtsi32_si128(group == 32 ? 1 : group == 64 ? 2 : 3));
    const auto bytes = [&](int step, int first) {
      return _mm256_add_epi32(_mm256_mullo_epi32(scale, _mm256_set1_epi32(step)), _mm256_set1_epi32(first));
    };
    if (element == Element::f32) {
      order = bytes(0x04040404, 0x03020100);
    } else if (half) {
      const __m256i words = bytes(0x0202, 0x0100);
      order = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0xd8);
    } else {  // the high half of a float, above zeros
      order = bytes(0x02020000, 0x01008080);
    }
  }
  [[gnu::always_inline]] F of(const unsigned char* p, std::int64_t bytes) const {
    const __m256i lanes = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load(p, bytes)), order);
    return {half ? _mm256_cvtph_ps(_mm256_castsi256_si128(lanes)) : _mm256_castsi256_ps(lanes)};
  }
  [[gnu::always_inline]] static __m128i load(const unsigned char* p, std::int64_t bytes) {
    std::int32_t four;
    if (bytes == 4) return __builtin_memcpy(&four, p, 4), _mm_cvtsi32_si128(four);
    if (bytes == 8) return load64(p);
    if (bytes == 16) return load128(p);
    unsigned char some[16] = {};
    for (int i = 0; i < bytes; i += 2) __builtin_memcpy(some + i, p + i, 2);
    return load128(some);
  }
  bool half;
  int size;
  __m256i order;
};

/// MLX triplets: a stream of bits, scales, biases.
template <int kBits>
class AffineSource : public Schemes<kBits> {
 public:
  static constexpr Order kOrder = affine_order(kBits);
  explicit AffineSource(const RowPart& a)
      : spread_(a.scale, a.group),
        codes_(a.begin / 8 * kBits),
        scales_(a.begin / a.group * spread_.size),
        scales_step_(kChunkWeights * spread_.size / a.group),
        blocks_(a.count / kFewBlock),
        scale_bytes_(a.count / a.group * spread_.size),
        ahead_(a.ahead) {}
  [[gnu::always_inline]] Chunk chunk(const RowBytes& row, std::int64_t c) const {
    Chunk chunk;
    const unsigned char* codes = row.component[0] + codes_ + c * 16 * kBits;
    fetch<16 * kBits>(codes + ahead_);
    const std::int64_t left = blocks_ - 4 * c;
    if (left >= 4) [[likely]] {
      affine_chunk<kBits>(WholeChunk<4 * kBits>{codes}, chunk.codes);
    } else {
      affine_chunk<kBits>(PartOfChunk<4 * kBits>{codes, left - 1}, chunk.codes);
    }
    const std::int64_t skip = c * scales_step_, rest = scale_bytes_ - skip;
    const std::int64_t bytes = rest < scales_step_ ? rest : scales_step_;
    chunk.scale = spread_.of(row.component[1] + scales_ + skip, bytes);
    chunk.bias = spread_.of(row.component[2] + scales_ + skip, bytes);
    return chunk;
  }

 private:
  ScaleSpread spread_;
  std::int64_t codes_, scales_, scales_step_, blocks_, scale_bytes_, ahead_;
};

// ---- GGUF ----------------------------------------------------------------------------------------------------------

constexpr Order natural_order() {
  Order order{};
  for (int i = 0; i < kFewBlock; ++i) order.v[i] = static_cast<std::uint8_t>(i);
  return order;
}

/// A block begins with its scale, and its minimum if it has one: two halves for a pair of lanes.
template <class B>
class BlockSource : public Schemes<B::zero == 128 ? 8
                                   : B::high != 0 ? 5
                                                  : 4> {
 public:
  static constexpr Order kOrder = natural_order();
  explicit BlockSource(const RowPart& a) : begin_(a.begin / 32 * B::kHalf), blocks_(a.count / 32), ahead_(a.ahead) {}
  [[gnu::always_inline]] Chunk chunk(const RowBytes& row, std::int64_t c) const {
    static_assert(B::minimum == 0 || B::minimum == 2);
    Chunk chunk;
    const unsigned char* in = row.component[0] + begin_ + c * 4 * B::kHalf;
    fetch<4 * B::kHalf>(in + ahead_);
    const std::int64_t left = blocks_ - 4 * c;
    if (left >= 4) [[likely]] {
      read(WholeChunk<B::kHalf>{in}, chunk);
    } else {
      read(PartOfChunk<B::kHalf>{in, left - 1}, chunk);
    }
    return chunk;
  }

 private:
  template <class P>
  [[gnu::always_inline]] static void read(P blocks, Chunk& chunk) {
    read_codes(blocks, chunk.codes);
    const __m256 both = _mm256_cvtph_ps(load_words(blocks, 0));
    chunk.scale.v = _mm256_moveldup_ps(both);
    chunk.bias.v = B::minimum != 0 ? _mm256_movehdup_ps(both) : _mm256_mul_ps(chunk.scale.v, _mm256_set1_ps(-B::zero));
  }
  template <class P>
  [[gnu::always_inline]] static void read_codes(P blocks, Codes (&codes)[4]) {
    __m256i half[2];
    if constexpr (B::zero == 128) {
      for (int t = 0; t < 4; t += 2) {
        load_halves(blocks, B::low + 8 * t, half);
        for (int i = 0; i < 2; ++i) codes[t + i].v = _mm256_xor_si256(half[i], _mm256_set1_epi8(-128));
      }
    } else {
      load_halves(blocks, B::low, half);
      for (int t = 0; t < 4; ++t) codes[t].v = low_bits(half[t % 2], t / 2 * 4, 4);
    }
    if constexpr (B::high != 0) {
      const __m256i words = _mm256_permute4x64_epi64(_mm256_castsi128_si256(load_words(blocks, B::high)), 0x50);
      const __m256i one_each = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
      for (int t = 0; t < 4; ++t) {  // byte t of a block's word to all bytes of its piece
        const __m128i pieces = _mm_set_epi64x(0x0404040404040404 + t * 0x0101010101010101, t * 0x0101010101010101);
        const __m256i spread = _mm256_shuffle_epi8(words, _mm256_broadcastsi128_si256(pieces));
        const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, one_each), one_each);
        codes[t].v = _mm256_or_si256(codes[t].v, _mm256_and_si256(set, _mm256_set1_epi8(16)));
      }
    }
  }

  std::int64_t begin_, blocks_, ahead_;
};

}  // namespace

extern const FewRowsUnit NIBBLE_FEW_ROWS;
const FewRowsUnit NIBBLE_FEW_ROWS = few_rows_unit<AffineSource, BlockSource>();

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
