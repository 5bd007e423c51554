// AVX2 with FMA and F16C: in integer products a row of x has a lane.
#ifndef NIBBLE_UNIT  // the tests define it to compile this file again through SIMDe
#define NIBBLE_UNIT kAvx2Unit
#define NIBBLE_FLOATS kAvx2Floats
#define NIBBLE_FEW_ROWS kAvx2FewRows
#define NIBBLE_ATTENTION kAvx2Attention
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

#include "backend/cpu/units/avx2_floats.inl.h"
#include "backend/cpu/units/avx2_integers.inl.h"

// ---- codes ---------------------------------------------------------------------------------------------------------

/// How sixteen codes come out of sixteen bytes: the two bytes that hold each, and the factor that shifts it to the top
/// of its word.
struct Extract {
  alignas(32) std::uint8_t bytes[32];
  alignas(32) std::uint16_t factor[16];
};
constexpr int extract_start(int bits, int total, int j) {
  return 2 * bits * j + 16 <= total ? 2 * bits * j : total - 16;
}
template <int kBits, int kTotal>
struct ExtractTable {
  Extract part[4];
  constexpr ExtractTable() : part{} {
    for (int j = 0; j * 2 * kBits < kTotal; ++j) {
      const int start = extract_start(kBits, kTotal < 16 ? 16 : kTotal, j);
      for (int i = 0; i < 16; ++i) {
        const int bit = (16 * j + i) * kBits, byte = bit / 8 - start;
        part[j].bytes[2 * i] = static_cast<std::uint8_t>(byte);
        part[j].bytes[2 * i + 1] = static_cast<std::uint8_t>(byte + 1 < 16 ? byte + 1 : 0x80);
        part[j].factor[i] = static_cast<std::uint16_t>(1 << (16 - kBits - bit % 8));
      }
    }
  }
};
template <int kBits, int kTotal>
constexpr ExtractTable<kBits, kTotal> kExtract{};

template <int kBits, int kTotal>
inline __m256i extract(const unsigned char* in, int j) {
  constexpr int kWhole = kTotal < 16 ? 16 : kTotal;
  const Extract& part = kExtract<kBits, kTotal>.part[j];
  const __m256i bytes = _mm256_broadcastsi128_si256(load128(in + extract_start(kBits, kWhole, j)));
  const __m256i words = _mm256_shuffle_epi8(bytes, load256(part.bytes));
  return _mm256_srli_epi16(_mm256_mullo_epi16(words, load256(part.factor)), 16 - kBits);
}

template <int kBits, int kCount>
inline void unpack_bits(const unsigned char* in, std::uint8_t* codes) {
  constexpr int kTotal = kCount * kBits / 8;
  if constexpr (kBits == 8) {
    __builtin_memcpy(codes, in, kCount);
  } else {
    unsigned char few[16] = {};
    if constexpr (kTotal < 16) {
      __builtin_memcpy(few, in, kTotal);
      in = few;
    }
    for (int i = 0; i < kCount / 32; ++i) {
      const __m256i low = extract<kBits, kTotal>(in, 2 * i), high = extract<kBits, kTotal>(in, 2 * i + 1);
      store256(codes + 32 * i, _mm256_permute4x64_epi64(_mm256_packus_epi16(low, high), 0xd8));
    }
  }
}

/// The 32 codes of a GGUF block.
template <class B>
inline __m256i block_of(const unsigned char* in) {
  if constexpr (B::zero == 128) return _mm256_xor_si256(load256(in + B::low), _mm256_set1_epi8(-128));
  const __m128i bytes = load128(in + B::low);
  const __m256i low = _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes), _mm256_set1_epi8(15));
  if constexpr (B::high == 0) return low;
  const __m256i spread =
      _mm256_shuffle_epi8(_mm256_set1_epi32(load32(in + B::high)),
                          _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
  const __m256i one_each = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, one_each), one_each);
  return _mm256_or_si256(low, _mm256_and_si256(set, _mm256_set1_epi8(16)));
}
template <class B>
inline void unpack_block(const unsigned char* in, std::uint8_t* codes) {
  store256(codes, block_of<B>(in));
}

inline void transpose(const void* in, std::int64_t in_pitch, std::int64_t words, void* out, std::int64_t out_pitch) {
  const auto* from = static_cast<const unsigned char*>(in);
  auto* to = static_cast<unsigned char*>(out);
  for (; words >= 8; words -= 8, from += 32) {
    __m256i r[8];
    for (int i = 0; i < 8; ++i) r[i] = load256(from + i * in_pitch);
    transpose_words(r);
    for (int i = 0; i < 8; ++i, to += out_pitch) store256(to, r[i]);
  }
  for (; words > 0; --words, from += 4, to += out_pitch) {
    for (int i = 0; i < 8; ++i) __builtin_memcpy(to + 4 * i, from + i * in_pitch, 4);
  }
}

// ---- integer products ----------------------------------------------------------------------------------------------

/// Sums in types of their elements, which gcc 12 keeps in a register through a loop where it copies a __m256i.
using Ints = int __attribute__((vector_size(32)));
using Shorts = short __attribute__((vector_size(32)));
inline Ints load_ints(const float* p) { return reinterpret_cast<Ints>(load256(p)); }

/// Eight activations in 16 bits; adds them to `total`.
inline __m128i round_eight(const float* x, float inverse, __m256i& total) {
  const __m256i v = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), _mm256_set1_ps(inverse)));
  total = _mm256_add_epi32(total, v);
  return _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}
inline __m256i broadcast_four(const std::uint8_t* codes) { return _mm256_set1_epi32(load32(codes)); }

/// 16-bit activations; codes are widened, so that no sum of two products saturates.
struct Standard {
  static constexpr int kBytes = 2, kStep = 2;
  static constexpr float kMost = 32512.f;
  static constexpr int kTake = 2, kRun = 64, kTileRows = 4, kCodeBytes = 2, kMostBits = 8;
  using Total = Ints;
  using Sums = Ints;
  using X = __m256i;
  static std::int32_t round(const float* x, int n, float inverse, unsigned char* q, std::int64_t) {
    __m256i total = _mm256_setzero_si256();
    for (int i = 0; i < n; i += 8) store128(q + 2 * i, round_eight(x + i, inverse, total));
    return total_of(total);
  }
  static __m256i load(const unsigned char* x) { return load256(x); }
  static __m256i broadcast(const std::uint8_t* codes) { return broadcast_four(codes); }
  static Ints begin(const float* total) { return load_ints(total); }
  static Ints start(Ints total) { return total; }
  static void accumulate(Ints& sums, __m256i w, __m256i x) { sums += reinterpret_cast<Ints>(_mm256_madd_epi16(w, x)); }
  static void finish(Ints& total, Ints sums) { total = sums; }
  static F total(Ints t) { return {_mm256_cvtepi32_ps(reinterpret_cast<__m256i>(t))}; }
};

/// 8-bit activations against codes of up to kBits: products of a run of weights are summed in 16 bits, which holds as
/// many pairs as 2 · 127 · (2^kBits - 1) goes into 32767.
template <int kBits, int kWeights>
struct FastRun {
  static_assert(kWeights / 4 * 2 * 127 * ((1 << kBits) - 1) <= 32767);
  static constexpr int kBytes = 1, kStep = 1;
  static constexpr float kMost = 127.f;
  static constexpr int kTake = 4, kRun = kWeights, kTileRows = 4, kCodeBytes = 1, kMostBits = 6;
  using Total = Ints;
  using Sums = Shorts;
  using X = __m256i;
  static std::int32_t round(const float* x, int n, float inverse, unsigned char* q, std::int64_t) {
    __m256i total = _mm256_setzero_si256();
    for (int i = 0; i < n; i += 16) {
      const __m128i low = round_eight(x + i, inverse, total), high = round_eight(x + i + 8, inverse, total);
      store128(q + i, _mm_packs_epi16(low, high));
    }
    return total_of(total);
  }
  static __m256i load(const unsigned char* x) { return load256(x); }
  static __m256i broadcast(const std::uint8_t* codes) { return broadcast_four(codes); }
  static Ints begin(const float* total) { return load_ints(total); }
  static Shorts start(Ints) { return Shorts{}; }
  static void accumulate(Shorts& sums, __m256i w, __m256i x) {
    sums += reinterpret_cast<Shorts>(_mm256_maddubs_epi16(w, x));
  }
  static void finish(Ints& total, Shorts sums) {
    total += reinterpret_cast<Ints>(_mm256_madd_epi16(reinterpret_cast<__m256i>(sums), _mm256_set1_epi16(1)));
  }
  static F total(Ints t) { return {_mm256_cvtepi32_ps(reinterpret_cast<__m256i>(t))}; }
};

#include "backend/cpu/units/generic.inl.h"
#include "backend/cpu/units/integer_tile.inl.h"
#include "backend/cpu/units/quantize.inl.h"

/// What FastRun a product takes depends on its codes.
void multiply_fast(const IntegerProduct& a) {
  if (a.bits <= 3) return multiply<FastRun<3, 64>>(a);
  if (a.bits == 4) return multiply<FastRun<4, 32>>(a);
  if (a.bits == 5) return multiply<FastRun<5, 16>>(a);
  multiply<FastRun<6, 8>>(a);
}

}  // namespace

extern const FloatProducts NIBBLE_FLOATS;
extern const FewRowsUnit NIBBLE_FEW_ROWS;
extern const AttentionUnit NIBBLE_ATTENTION;
extern const Unit NIBBLE_UNIT;
const Unit NIBBLE_UNIT = {
    .name = "avx2",
    .lanes = kLanes,
    .decoders = kDecoders<scatter_scales>,
    .decoder_count = kDecoderCount,
    .load = load_floats,
    .store = store_floats,
    .expand = expand,
    .transpose = transpose,
    .functions = kFunctions,
    .standard = scheme<Standard>(),
    .fast = scheme<FastRun<4, 32>>(multiply_fast),
    .floats = &NIBBLE_FLOATS,
    .few_rows = &NIBBLE_FEW_ROWS,
    .attention = &NIBBLE_ATTENTION,
    .probes = &kAvx2Probes,
    .quantize = quantize,
};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
