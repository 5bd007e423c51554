// Few rows of x and streams of floats of eight bits as products of pairs of bf16, of processors that have AVX-512 BF16.
// Those floats are exact in bf16, and the smallest of them are normal numbers there, as the products need.
#ifndef NIBBLE_BF16_FEW_FLOATS  // the tests define it to compile this file again through SIMDe
#define NIBBLE_BF16_FEW_FLOATS kAvx512Bf16FewFloats
#include <immintrin.h>
#endif

#include "backend/cpu/units/few_rows.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/avx512_floats.inl.h"
#include "backend/cpu/units/avx512_integers.inl.h"
#include "backend/cpu/units/each.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"

/// That share what is loaded of x: in two pieces it exceeds the first cache from 12,288 activations on.
constexpr int kPackedRows = kMostRuns;

#include "backend/cpu/units/avx512_columns.inl.h"
// what walks through blocks
#include "backend/cpu/units/few_blocks.inl.h"
#include "backend/cpu/units/few_streams.inl.h"

constexpr int kPairBytes = 64;  // that become bf16 at once, in two vectors of pairs
constexpr int kPairVectors = 2;
static_assert(kPairBytes == kFloatBytes, "scales of lanes are as of floats");

/// Words of 64 in their order, brought to that in which bytes become pairs: eight of each sixteen in a vector.
struct WordOrder {
  alignas(64) std::uint16_t v[32];
};
constexpr WordOrder pair_order(int vector) {
  WordOrder order{};
  for (int i = 0; i < 32; ++i) order.v[i] = static_cast<std::uint16_t>(i / 8 * 16 + vector * 8 + i % 8);
  return order;
}
constexpr WordOrder kPairOrder[kPairVectors] = {pair_order(0), pair_order(1)};

/// 32 activations as bf16.
inline __m512i to_bfloats(const __m512 (&x)[2]) { return __builtin_bit_cast(__m512i, _mm512_cvtne2ps_pbh(x[1], x[0])); }
inline __m512 from_bfloats(__m256i words) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16));
}

/// x as the sum of kPieces bf16: of each 64 first the large pieces. What a piece of a subnormal number would be, which
/// products take for zero, is nothing beside the least magnitude that rows have.
template <int kPieces>
bool pack_pairs(const float* x, std::int64_t k, const std::uint8_t*, std::int64_t pitch, unsigned char* packed) {
  for (; k > 0; k -= kChunkWeights, x += kChunkWeights, packed += pitch) {
    const int count = static_cast<int>(k < kChunkWeights ? k : kChunkWeights);
    if (!has_integers(max_magnitude(x, count))) return false;
    float in[kChunkWeights] = {};
    __builtin_memcpy(in, x, 4 * static_cast<unsigned long>(count));
    unsigned char* out = packed;
    for (int i = 0; i < kChunkWeights; i += kPairBytes) {
      __m512 left[2][2];
      for (int j = 0; j < 4; ++j) left[j / 2][j % 2] = _mm512_loadu_ps(in + i + j * kLanes);
      for (int piece = 0; piece < kPieces; ++piece) {
        __m512i words[2];
        for (int j = 0; j < 2; ++j) {
          words[j] = to_bfloats(left[j]);
          left[j][0] = _mm512_sub_ps(left[j][0], from_bfloats(_mm512_castsi512_si256(words[j])));
          left[j][1] = _mm512_sub_ps(left[j][1], from_bfloats(_mm512_extracti64x4_epi64(words[j], 1)));
        }
        for (const WordOrder& order : kPairOrder) {
          const __m512i from = _mm512_load_si512(order.v);
          _mm512_storeu_si512(out, _mm512_permutex2var_epi16(words[0], from, words[1]));
          out += 64;
        }
      }
    }
  }
  return true;
}

/// Sums of products of a row of x with a run of each packed row, of each piece apart.
template <int kPieces>
class PairSums {
 public:
  static constexpr int kXStep = kPieces * kPairVectors * 64;  ///< bytes of x that meet kPairBytes of a row

  [[gnu::always_inline]] void add_step(const unsigned char* x, const __m512i (&w)[kPackedRows][kPairVectors]) {
    each<kPieces>([&](auto piece) __attribute__((always_inline)) {
      each<kPairVectors>([&](auto v) __attribute__((always_inline)) {
        const auto xs = __builtin_bit_cast(__m512bh, load_once(x + (piece * kPairVectors + v) * 64));
        each<kPackedRows>([&](auto r) __attribute__((always_inline)) {
          sums_[r][piece] = _mm512_dpbf16_ps(sums_[r][piece], __builtin_bit_cast(__m512bh, w[r][v]), xs);
        });
      });
    });
  }
  F of(int r) const {
    const F large = {sums_[r][0]};
    if constexpr (kPieces == 1) return large;
    return add(large, {sums_[r][kPieces - 1]});
  }

 private:
  __m512 sums_[kPackedRows][kPieces] = {};
};

/// Of a run of some packed rows.
template <class Stream, int kPieces>
class PairRun {
 public:
  static constexpr int kXBytes = 2 * kPieces;  ///< of an activation

  template <int kRun, Element kScale>
  [[gnu::always_inline]] void read(const StreamBlock<Stream, kScale> (&blocks)[kPackedRows]) {
    each<kPackedRows>([&](auto r) __attribute__((always_inline)) {
      scale_[r] = blocks[r].template scale_of_run<kRun>();
      each<kSteps>([&](auto i) __attribute__((always_inline)) { read_step<kRun, i>(blocks[r], w_[i][r]); });
    });
  }
  /// y += x · w for one row of x.
  [[gnu::always_inline]] void add_to(const unsigned char* x, F (&y)[kPackedRows]) const {
    Sums sums;
    each<kSteps>([&](auto i) __attribute__((always_inline)) { sums.add_step(x + i * Sums::kXStep, w_[i]); });
    each<kPackedRows>([&](auto r) __attribute__((always_inline)) { y[r] = fma(sums.of(r), scale_[r], y[r]); });
  }
  /// The two for the only row of x, step by step: a run of all rows would not stay in registers.
  template <int kRun, Element kScale>
  [[gnu::always_inline]] static void add_once(const StreamBlock<Stream, kScale> (&blocks)[kPackedRows],
                                              const unsigned char* x, F (&y)[kPackedRows]) {
    Sums sums;
    each<kSteps>([&](auto i) __attribute__((always_inline)) {
      __m512i w[kPackedRows][kPairVectors];
      each<kPackedRows>([&](auto r) __attribute__((always_inline)) { read_step<kRun, i>(blocks[r], w[r]); });
      sums.add_step(x + i * Sums::kXStep, w);
    });
    each<kPackedRows>([&](auto r) __attribute__((always_inline)) {
      y[r] = fma(sums.of(r), blocks[r].template scale_of_run<kRun>(), y[r]);
    });
  }

 private:
  static constexpr int kSteps = kFloatRun<Stream> / kPairBytes;
  using Sums = PairSums<kPieces>;

  template <int kRun, int kStep, Element kScale>
  [[gnu::always_inline]] static void read_step(const StreamBlock<Stream, kScale>& block, __m512i (&w)[kPairVectors]) {
    upper_halves<typename Stream::Number>(block.bytes() + kRun * kFloatRun<Stream> + kStep * kPairBytes, w);
  }

  __m512i w_[kSteps][kPackedRows][kPairVectors];
  F scale_[kPackedRows];  ///< of each lane's group
};

/// Always of so many runs.
template <class Stream, int kPieces>
constexpr FewRowsScheme pair_scheme() {
  FewRowsScheme scheme = float_scheme_of<Stream, PairRun<Stream, kPieces>>(pack_pairs<kPieces>);
  scheme.many = scheme.some, scheme.some = nullptr;
  return scheme;
}
template <class Stream>
constexpr FewRowsKernel pair_kernel() {
  return {Stream::kName, {pair_scheme<Stream, 2>(), pair_scheme<Stream, 1>()}};
}
constexpr FewRowsKernel kPairKernels[] = {pair_kernel<Fp8<E4M3>>(), pair_kernel<Fp8<E5M2>>(), pair_kernel<Mxfp8>()};

}  // namespace

extern const FewRowsKernels NIBBLE_BF16_FEW_FLOATS;
const FewRowsKernels NIBBLE_BF16_FEW_FLOATS = {kPairKernels, sizeof(kPairKernels) / sizeof(FewRowsKernel)};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
