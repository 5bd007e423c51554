// AVX-512 with F, BW, VL, DQ, VBMI and VNNI: in integer products a row of x has a lane.
#ifndef NIBBLE_UNIT  // the tests define it to compile this file again through SIMDe
#define NIBBLE_UNIT kAvx512Unit
#define NIBBLE_FLOATS kAvx512Floats
#define NIBBLE_FEW_ROWS kAvx512FewRows
#define NIBBLE_LANE_ROWS kAvx512LaneRows
#define NIBBLE_ATTENTION kAvx512Attention
#define NIBBLE_BF16 kAvx512Bf16
#include <immintrin.h>
#endif

#include "backend/cpu/math.h"
#include "backend/cpu/units/attention.h"
#include "backend/cpu/units/blocks.h"
#include "backend/cpu/units/probe.h"
#include "backend/cpu/units/unit.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/avx512_floats.inl.h"
#include "backend/cpu/units/avx512_integers.inl.h"

// ---- codes ---------------------------------------------------------------------------------------------------------

/// Qword j of 64 codes gets the b bytes that hold its eight codes; then shifts of 0, b, …, 7b bring each to its byte.
constexpr Table spread_table(int bits) {
  Table t{};
  for (int i = 0; i < 64; ++i) t.v[i] = static_cast<std::uint8_t>(i % 8 < bits ? i / 8 * bits + i % 8 : 0);
  return t;
}
template <int kBits>
constexpr Table kSpread = spread_table(kBits);

/// `kCount` codes, 32 or 64, one a byte; the rest is unspecified.
template <int kBits, int kCount>
inline __m512i codes_of(const unsigned char* in) {
  constexpr int kBytes = kCount * kBits / 8;
  __m512i bytes;
  if constexpr (kBytes == 64) {
    bytes = _mm512_loadu_si512(in);
  } else if constexpr (kBytes == 32) {
    bytes = _mm512_castsi256_si512(load256(in));
  } else {
    bytes = _mm512_maskz_loadu_epi8(~std::uint64_t{0} >> (64 - kBytes), in);
  }
  if constexpr (kBits == 8) return bytes;
  const __m512i spread = _mm512_permutexvar_epi8(_mm512_load_si512(kSpread<kBits>.v), bytes);
  const __m512i shifted = _mm512_multishift_epi64_epi8(_mm512_load_si512(kShift<kBits>.v), spread);
  return _mm512_and_si512(shifted, _mm512_set1_epi8(static_cast<char>((1 << kBits) - 1)));
}
template <int kBits, int kCount>
inline void unpack_bits(const unsigned char* in, std::uint8_t* codes) {
  const __m512i result = codes_of<kBits, kCount>(in);
  if constexpr (kCount == 64) {
    _mm512_storeu_si512(codes, result);
  } else {
    store256(codes, _mm512_castsi512_si256(result));
  }
}

/// The 32 codes of a GGUF block.
template <class B>
inline __m256i block_of(const unsigned char* in) {
  if constexpr (B::zero == 128) return _mm256_xor_si256(load256(in + B::low), _mm256_set1_epi8(-128));
  const __m128i bytes = load128(in + B::low);
  const __m256i low = _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes), _mm256_set1_epi8(15));
  if constexpr (B::high == 0) return low;
  return _mm256_mask_add_epi8(low, static_cast<__mmask32>(load32(in + B::high)), low, _mm256_set1_epi8(16));
}
template <class B>
inline void unpack_block(const unsigned char* in, std::uint8_t* codes) {
  store256(codes, block_of<B>(in));
}

inline __m512 load_some(const unsigned char* p, Element element, __mmask16 some) {
  if (element == Element::f32) return _mm512_maskz_loadu_ps(some, p);
  const __m256i words = _mm256_maskz_loadu_epi16(some, p);
  if (element == Element::f16) return _mm512_cvtph_ps(words);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16));
}

/// `count` ≤ 16 groups of `n` rows, a multiple of 16.
inline void transpose_scales(const RowBytes* rows, int n, int component, std::int64_t begin, int count,
                             std::int64_t pitch, float* out) {
  const auto some = static_cast<__mmask16>((1u << count) - 1);
  const Element element = rows[0].scale;
  const std::int64_t skip = begin * (element == Element::f32 ? 4 : 2);
  for (int first = 0; first < n; first += 16) {
    __m512i r[16];
    for (int i = 0; i < 16; ++i) {
      r[i] = _mm512_castps_si512(load_some(rows[first + i].component[component] + skip, element, some));
    }
    transpose_words(r);
    for (int g = 0; g < count; ++g) _mm512_storeu_si512(out + g * pitch + first, r[g]);
  }
}

inline void transpose(const void* in, std::int64_t in_pitch, std::int64_t words, void* out, std::int64_t out_pitch) {
  const auto* from = static_cast<const unsigned char*>(in);
  auto* to = static_cast<unsigned char*>(out);
  for (std::int64_t first = 0; first < words; first += 16, from += 64) {
    const int count = static_cast<int>(words - first < 16 ? words - first : 16);
    const auto some = static_cast<__mmask16>((1u << count) - 1);
    __m512i r[16];
    for (int i = 0; i < 16; ++i) r[i] = _mm512_maskz_loadu_epi32(some, from + i * in_pitch);
    transpose_words(r);
    for (int i = 0; i < count; ++i, to += out_pitch) _mm512_storeu_si512(to, r[i]);
  }
}

/// A dword for each of 16 codes of four bits, which are eight bytes, in each qword of a vector: its low bits are the
/// code, others anything.
constexpr Table nibble_table() {
  Table t{};
  for (int i = 0; i < 16; ++i) t.v[4 * i] = static_cast<std::uint8_t>(4 * i);
  return t;
}
constexpr Table kNibbles = nibble_table();

/// scale · code + bias of 32 codes. Up to four bits a permutation looks them up among all values that a group has.
template <int kBits>
inline void floats_of_codes(const unsigned char* in, __m512 scale, __m512 bias, __m512 values, float* out) {
  __m512i codes[2];
  if constexpr (kBits == 4) {
    for (int i = 0; i < 2; ++i) {
      std::int64_t bytes;
      __builtin_memcpy(&bytes, in + 8 * i, sizeof bytes);
      codes[i] = _mm512_multishift_epi64_epi8(_mm512_load_si512(kNibbles.v), _mm512_set1_epi64(bytes));
    }
  } else {
    const __m512i bytes = codes_of<kBits, 32>(in);
    const __m256i all = _mm512_castsi512_si256(bytes);
    codes[0] = _mm512_cvtepu8_epi32(_mm256_castsi256_si128(all));
    codes[1] = _mm512_cvtepu8_epi32(_mm256_extracti128_si256(all, 1));
  }
  for (int i = 0; i < 2; ++i) {
    const __m512 found = kBits <= 4 ? _mm512_permutexvar_ps(codes[i], values)
                                    : _mm512_add_ps(_mm512_mul_ps(scale, _mm512_cvtepi32_ps(codes[i])), bias);
    _mm512_storeu_ps(out + 16 * i, found);
  }
}
inline __m512 broadcast_float(const unsigned char* p, Element element) {
  if (element == Element::f32) return _mm512_castsi512_ps(_mm512_set1_epi32(load32(p)));
  std::int16_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  if (element == Element::f16) return _mm512_cvtph_ps(_mm256_set1_epi16(bits));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_set1_epi16(bits), 16));
}
template <int kBits>
void affine_floats(RowBytes row, const std::int64_t* pitch, std::int64_t rows, std::int64_t begin, std::int64_t count,
                   std::int64_t group, float* out, std::int64_t out_pitch) {
  const std::int64_t first = begin / group, groups = count / group, size = row.scale == Element::f32 ? 4 : 2;
  const __m512 numbers = _mm512_cvtepi32_ps(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  const unsigned char* codes = row.component[0] + begin * kBits / 8;
  const unsigned char* scales = row.component[1] + first * size;
  const unsigned char* biases = row.component[2] + first * size;
  for (; rows > 0; --rows, codes += pitch[0], scales += pitch[1], biases += pitch[2], out += out_pitch) {
    const unsigned char* in = codes;
    float* to = out;
    for (std::int64_t g = 0; g < groups; ++g) {
      const __m512 scale = broadcast_float(scales + g * size, row.scale);
      const __m512 bias = broadcast_float(biases + g * size, row.scale);
      const __m512 values = _mm512_add_ps(_mm512_mul_ps(scale, numbers), bias);
      for (std::int64_t i = 0; i < group; i += 32, in += 4 * kBits, to += 32)
        floats_of_codes<kBits>(in, scale, bias, values, to);
    }
  }
}
template <int kBits>
struct AffineFloats {
  static constexpr auto run = affine_floats<kBits>;
};

// ---- integer products ----------------------------------------------------------------------------------------------

/// Sums in the type that vpdpbusd's pattern has in gcc 12: it copies or spills an accumulator of type __m512i at every
/// step.
using Ints = int __attribute__((vector_size(64)));
inline Ints load_ints(const float* p) { return reinterpret_cast<Ints>(_mm512_loadu_si512(p)); }
inline void dot_four(Ints& sum, __m512i codes, __m512i x) {
  sum = reinterpret_cast<Ints>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sum), codes, x));
}

inline __m512i broadcast_four(const std::uint8_t* codes) { return _mm512_set1_epi32(load32(codes)); }

/// x = 256 · high + low, both int8: a row has first all high halves, then all low ones.
struct Standard {
  static constexpr int kBytes = 2, kStep = 1;
  static constexpr float kMost = 32512.f;
  static constexpr int kTake = 4, kRun = 64, kTileRows = 4, kCodeBytes = 1, kMostBits = 8;
  struct Total {
    Ints high, low;
  };
  using Sums = Total;
  struct X {
    __m512i high, low;
  };
  static std::int32_t round(const float* x, int n, float inverse, unsigned char* q, std::int64_t half) {
    __m512i total = _mm512_setzero_si512();
    for (int i = 0; i < n; i += 16) {
      const __m512i v = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), _mm512_set1_ps(inverse)));
      const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(v, _mm512_set1_epi32(128)), 8);
      const __m512i low = _mm512_sub_epi32(v, _mm512_slli_epi32(high, 8));
      store128(q + i, _mm512_cvtepi32_epi8(high));
      store128(q + half + i, _mm512_cvtepi32_epi8(low));
      total = _mm512_add_epi32(total, v);
    }
    return total_of(total);
  }
  static X load(const unsigned char* x) { return {_mm512_loadu_si512(x), _mm512_loadu_si512(x + 64)}; }
  static __m512i broadcast(const std::uint8_t* codes) { return broadcast_four(codes); }
  static Total begin(const float* low) { return {Ints{}, load_ints(low)}; }
  static Sums start(const Total& total) { return total; }
  static void accumulate(Sums& sums, __m512i w, const X& x) {
    dot_four(sums.high, w, x.high);
    dot_four(sums.low, w, x.low);
  }
  static void finish(Total& total, const Sums& sums) { total = sums; }
  static F total(const Total& t) { return {_mm512_cvtepi32_ps(reinterpret_cast<__m512i>((t.high << 8) + t.low))}; }
};

struct Fast {
  static constexpr int kBytes = 1, kStep = 1;
  static constexpr float kMost = 127.f;
  static constexpr int kTake = 4, kRun = 64, kTileRows = 6, kCodeBytes = 1, kMostBits = 8;
  using Total = Ints;
  using Sums = Ints;
  using X = __m512i;
  static std::int32_t round(const float* x, int n, float inverse, unsigned char* q, std::int64_t) {
    __m512i total = _mm512_setzero_si512();
    for (int i = 0; i < n; i += 16) {
      const __m512i v = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), _mm512_set1_ps(inverse)));
      store128(q + i, _mm512_cvtepi32_epi8(v));
      total = _mm512_add_epi32(total, v);
    }
    return total_of(total);
  }
  static __m512i load(const unsigned char* x) { return _mm512_loadu_si512(x); }
  static __m512i broadcast(const std::uint8_t* codes) { return broadcast_four(codes); }
  static Ints begin(const float* total) { return load_ints(total); }
  static Ints start(Ints total) { return total; }
  static void accumulate(Ints& sums, __m512i w, __m512i x) { dot_four(sums, w, x); }
  static void finish(Ints& total, Ints sums) { total = sums; }
  static F total(Ints t) { return {_mm512_cvtepi32_ps(reinterpret_cast<__m512i>(t))}; }
};

#include "backend/cpu/units/generic.inl.h"
#include "backend/cpu/units/integer_tile.inl.h"
#include "backend/cpu/units/quantize.inl.h"

}  // namespace

extern const FloatProducts NIBBLE_FLOATS;
extern const FewRowsUnit NIBBLE_FEW_ROWS;
extern const LaneRowsUnit NIBBLE_LANE_ROWS;
extern const AttentionUnit NIBBLE_ATTENTION;
extern const Bf16Unit NIBBLE_BF16;
extern const Unit NIBBLE_UNIT;
const Unit NIBBLE_UNIT = {
    .name = "avx512",
    .lanes = kLanes,
    .decoders = kDecoders<transpose_scales, AffineFloats>,
    .decoder_count = kDecoderCount,
    .load = load_floats,
    .store = store_floats,
    .expand = expand,
    .transpose = transpose,
    .functions = kFunctions,
    .standard = scheme<Standard>(),
    .fast = scheme<Fast>(),
    .floats = &NIBBLE_FLOATS,
    .few_rows = &NIBBLE_FEW_ROWS,
    .attention = &NIBBLE_ATTENTION,
    .probes = &kAvx512Probes,
    .quantize = quantize,
    .bf16 = &NIBBLE_BF16,
    .lane_rows = &NIBBLE_LANE_ROWS,
};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
