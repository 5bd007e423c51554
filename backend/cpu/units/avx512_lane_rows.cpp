// AVX-512 with VBMI and VNNI: two vectors of packed rows by up to eight rows of x. A row of x costs a dot product for
// four weights of sixteen rows, and each group a product and two FMAs more (one where codes have a fixed centre); in
// rows whose blocks are lanes (see avx512_few_rows.cpp) it is the same for half as many weights.
#ifndef NIBBLE_LANE_ROWS  // the tests define it to compile this file again through SIMDe
#define NIBBLE_LANE_ROWS kAvx512LaneRows
#include <immintrin.h>
#endif

#include <utility>

#include "backend/cpu/units/blocks.h"
#include "backend/cpu/units/lane_rows.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/avx512_floats.inl.h"
#include "backend/cpu/units/avx512_integers.inl.h"
#include "backend/cpu/units/each.inl.h"
#include "backend/cpu/units/integer_range.inl.h"
#include "backend/cpu/units/rounding.inl.h"

constexpr int kVectors = kLaneRows / kLanes;
constexpr int kLeastBlock = 32;  // weights that share a scale of x; of groups of 64 and more, twice as many

constexpr int block_of(int group) { return group < 64 ? kLeastBlock : 64; }

#include "backend/cpu/units/avx512_lane_codes.inl.h"
// after it, whose RowPlaces it takes
#include "backend/cpu/units/avx512_lane_blocks.inl.h"

/// Sums in the type that vpdpbusd's pattern has in gcc 12: it copies or spills an accumulator of type __m512i at every
/// step.
using Ints = int __attribute__((vector_size(64)));
inline void dot_four(Ints& sum, __m512i codes, __m512i x) {
  sum = reinterpret_cast<Ints>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sum), codes, x));
}
inline F float_of(const unsigned char* x) {
  float one;
  __builtin_memcpy(&one, x, sizeof one);
  return broadcast(one);
}
inline __m512i four_of(const unsigned char* x) {
  std::int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return _mm512_set1_epi32(four);
}

// ---- x -------------------------------------------------------------------------------------------------------------

/// 32 activations as bytes, in the order of their codes.
inline void store_in_order(unsigned char* out, __m512i first, __m512i second, __m256i order) {
  const __m256i bytes = _mm256_set_m128i(_mm512_cvtepi32_epi8(second), _mm512_cvtepi32_epi8(first));
  store256(out, _mm256_permutexvar_epi8(order, bytes));
}
inline __m512i rounded(const float* x, float inverse) {
  return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), _mm512_set1_ps(inverse)));
}

/// x = 256 · high + low, both int8: a chunk has first the high bytes, then the low ones.
struct Halves {
  static constexpr int kBytes = 2, kMostRows = 4;
  static constexpr float kMost = 32512.f;
  struct Sum {
    Ints high = {}, low = {};
  };
  /// 32 of them, of a chunk of `chunk`; returns their sums.
  static __m512i round(const float* x, float inverse, __m256i order, int chunk, unsigned char* out) {
    const __m512i v[2] = {rounded(x, inverse), rounded(x + kLanes, inverse)};
    __m512i high[2], low[2];
    for (int i = 0; i < 2; ++i) {
      high[i] = _mm512_srai_epi32(_mm512_add_epi32(v[i], _mm512_set1_epi32(128)), 8);
      low[i] = _mm512_sub_epi32(v[i], _mm512_slli_epi32(high[i], 8));
    }
    store_in_order(out, high[0], high[1], order);
    store_in_order(out + chunk, low[0], low[1], order);
    return _mm512_add_epi32(v[0], v[1]);
  }
  template <int kChunk>
  [[gnu::always_inline]] static void add(Sum (&sums)[kVectors], const __m512i (&w)[kVectors], const unsigned char* x) {
    const __m512i high = four_of(x), low = four_of(x + kChunk);
    each<kVectors>([&](auto v) __attribute__((always_inline)) { dot_four(sums[v].high, w[v], high); });
    each<kVectors>([&](auto v) __attribute__((always_inline)) { dot_four(sums[v].low, w[v], low); });
  }
  static __m512i total(const Sum& s) { return reinterpret_cast<__m512i>((s.high << 8) + s.low); }
};

struct Bytes {
  static constexpr int kBytes = 1, kMostRows = 8;
  static constexpr float kMost = 127.f;
  using Sum = Ints;
  static __m512i round(const float* x, float inverse, __m256i order, int, unsigned char* out) {
    const __m512i v[2] = {rounded(x, inverse), rounded(x + kLanes, inverse)};
    store_in_order(out, v[0], v[1], order);
    return _mm512_add_epi32(v[0], v[1]);
  }
  template <int kChunk>
  [[gnu::always_inline]] static void add(Sum (&sums)[kVectors], const __m512i (&w)[kVectors], const unsigned char* x) {
    const __m512i four = four_of(x);
    each<kVectors>([&](auto v) __attribute__((always_inline)) { dot_four(sums[v], w[v], four); });
  }
  static __m512i total(Sum s) { return reinterpret_cast<__m512i>(s); }
};

/// Of a chunk of a row: its rounded activations, the unit of each block, and the sum of what they became: times their
/// unit, or where codes have a centre that integer times minus the centre.
template <class Scheme, int kChunk>
constexpr int kUnits = kChunk* Scheme::kBytes;
template <class Scheme, int kChunk>
constexpr int kXSums = kUnits<Scheme, kChunk> + 4 * (kChunk / kLeastBlock);
template <class Scheme, int kChunk>
constexpr int kXBytes = kXSums<Scheme, kChunk> + 4 * (kChunk / kLeastBlock);

template <class Source, class Scheme>
bool pack_row(const float* x, std::int64_t k, int group, std::int64_t pitch, unsigned char* packed) {
  constexpr int kWhole = Source::kChunk;
  const __m256i order[2] = {load256(Source::kOrder.v), load256(Source::kOrder.v + kLeastBlock)};
  const int block = block_of(group);
  Rounding rounding;
  for (std::int64_t i = 0; i < k; i += kWhole, packed += pitch) {
    if (k - i < kWhole) __builtin_memset(packed, 0, kXBytes<Scheme, kWhole>);
    const int here = static_cast<int>(k - i < kWhole ? k - i : kWhole);
    for (int j = 0; j < here; j += block) {
      const float* from = x + i + j;
      const std::uint32_t bits = max_magnitude(from, block);
      const float most = __builtin_bit_cast(float, bits);
      if (!has_integers(bits)) return false;
      const float unit = most / Scheme::kMost, inverse = bits == 0 ? 0.f : Scheme::kMost / most;
      __m512i totals = _mm512_setzero_si512();
      for (int part = 0; part < block; part += kLeastBlock) {
        const __m256i in_order = order[(j + part) / kLeastBlock % 2];
        totals = _mm512_add_epi32(totals, Scheme::round(from + part, inverse, in_order, kWhole, packed + j + part));
      }
      const std::int32_t total = total_of(totals), centring = -Source::kZero * total;
      const float sum = unit * static_cast<float>(total);
      rounding.add(from, block, inverse, unit);
      __builtin_memcpy(packed + kUnits<Scheme, kWhole> + j / block * 4, &unit, 4);
      __builtin_memcpy(packed + kXSums<Scheme, kWhole> + j / block * 4,
                       Source::kZero == 0 ? static_cast<const void*>(&sum) : &centring, 4);
    }
  }
  return rounding.stays_below(kMostLost<Scheme>);
}

// ---- products ------------------------------------------------------------------------------------------------------

/// The next lines of memory that rows are read from, asked for one by one: those of a row after those of the one
/// before it, as memory gives them best, and not in the order in which they are read.
struct Ahead {
  const unsigned char* at;
  std::int64_t step, jump;  ///< from line to line, and from a row's last one to the next row besides
  int lines, line = 0;      ///< of a row; asked for already
  [[gnu::always_inline]] void ask() {
    __builtin_prefetch(at);
    at += step;
    if (++line < lines) return;
    line = 0;
    at += jump;
  }
};

/// What a chunk of all packed rows became.
struct ChunkOf {
  const unsigned char (*codes)[kVectors][64];
  const float *scales, *biases;          ///< (group, row); no biases where codes have a centre
  int group_shift, block_steps, blocks;  ///< log2 of a group's blocks; steps of a block
};

/// It against kRows rows of x.
template <class Scheme, int kSteps, bool kCentred, int kRows>
[[gnu::noinline]] void multiply_chunk(const ChunkOf& w, const unsigned char* x, float* y, Ahead& asked) {
  constexpr int kChunk = 4 * kSteps, kX = kXBytes<Scheme, kChunk>;
  constexpr int kAsked = kLaneRows < kSteps ? 1 : kLaneRows / kSteps;  // at a step
  const unsigned char(*codes)[kVectors][64] = w.codes;
  const unsigned char* step = x;
  Ahead ahead = asked;
  for (int b = 0; b < w.blocks; ++b) {
    typename Scheme::Sum sums[kRows][kVectors] = {};
    for (int i = 0; i < w.block_steps; ++i, ++codes, step += 4) {
      for (int line = 0; line < kAsked; ++line) ahead.ask();
      __m512i four[kVectors];
      each<kVectors>([&](auto v) __attribute__((always_inline)) { four[v] = _mm512_load_si512((*codes)[v]); });
      each<kRows>([&](auto r)
                      __attribute__((always_inline)) { Scheme::template add<kChunk>(sums[r], four, step + r * kX); });
    }
    const std::int64_t group = (b >> w.group_shift) * kLaneRows;
    F scale[kVectors], bias[kVectors];
    each<kVectors>([&](auto v) __attribute__((always_inline)) {
      scale[v] = load_f32(w.scales + group + v * kLanes);
      if constexpr (!kCentred) bias[v] = load_f32(w.biases + group + v * kLanes);
    });
    each<kRows>([&](auto r) __attribute__((always_inline)) {
      const unsigned char *unit = x + r * kX + kUnits<Scheme, kChunk> + 4 * b,
                          *x_sum = x + r * kX + kXSums<Scheme, kChunk> + 4 * b;
      const F units = float_of(unit), x_sums = float_of(x_sum);
      each<kVectors>([&](auto v) __attribute__((always_inline)) {
        float* out = y + r * kLaneRows + v * kLanes;
        __m512i total = Scheme::total(sums[r][v]);
        F more = load_f32(out);
        if constexpr (kCentred) {
          total = _mm512_add_epi32(total, four_of(x_sum));
        } else {
          more = fma(bias[v], x_sums, more);
        }
        store_f32(out, fma(mul(scale[v], {_mm512_cvtepi32_ps(total)}), units, more));
      });
    });
  }
  asked = ahead;
}
template <class Scheme, int kSteps, bool kCentred, int... kRows>
struct ChunkProducts {
  static constexpr decltype(&multiply_chunk<Scheme, kSteps, kCentred, 1>) of[] = {
      multiply_chunk<Scheme, kSteps, kCentred, kRows + 1>...};
};
template <class Scheme, int kSteps, bool kCentred, int... kRows>
constexpr ChunkProducts<Scheme, kSteps, kCentred, kRows...> chunk_products(std::integer_sequence<int, kRows...>) {
  return {};
}

constexpr std::int64_t kSegment = 16;  // chunks of each row that are asked for together

template <class Source, class Scheme>
void multiply(const LaneProduct& a) {
  constexpr int kWhole = Source::kChunk, kSteps = kWhole / 4, kBytes = Source::kBytes, kX = kXBytes<Scheme, kWhole>;
  constexpr int kLines = kLaneRows * kBytes / 64;  // of a chunk
  constexpr auto products =
      chunk_products<Scheme, kSteps, Source::kZero != 0>(std::make_integer_sequence<int, Scheme::kMostRows>());
  const std::int64_t chunks = (a.length + kWhole - 1) / kWhole, codes_at = a.begin * kBytes / kWhole;
  const LaneTile& next = a.next.rows > 0 ? a.next : a.w;
  const std::int64_t parts = (a.x_rows + Scheme::kMostRows - 1) / Scheme::kMostRows;
  for (std::int64_t m = 0; m < a.x_rows; ++m) {
    each<kVectors>([&](auto v) { store_f32(a.sums + m * kLaneRows + v * kLanes, broadcast(0)); });
  }
  Source source(a);
  const int block = block_of(a.group);
  ChunkOf chunk{source.codes(), nullptr, nullptr, __builtin_ctz(static_cast<unsigned>(a.group / block)), block / 4, 0};
  const unsigned char* x = a.x;
  Ahead ahead{}, none{a.x, 0, 0, 1};
  for (std::int64_t c = 0; c < chunks; ++c) {
    const std::int64_t left = a.length - c * kWhole;
    source.read(c, left, chunk);
    if (c % kSegment == 0) {  // the next one of these rows, or the first of those that follow
      const std::int64_t more = chunks - c - kSegment, ahead_chunks = more > 0 ? more : chunks;
      ahead = {(more > 0 ? a.w.first.component[0] + kBytes * (c + kSegment) : next.first.component[0]) + codes_at, 64,
               0, static_cast<int>((ahead_chunks < kSegment ? ahead_chunks : kSegment) * kBytes / 64)};
      ahead.jump = a.pitch[0] - 64 * ahead.lines;
    }
    for (int line = kSteps; line < kLines; ++line) ahead.ask();
    chunk.blocks = static_cast<int>((left < kWhole ? left : kWhole) / block);
    for (std::int64_t part = 0; part < parts; ++part) {
      const std::int64_t m = a.x_rows * part / parts, end = a.x_rows * (part + 1) / parts;
      products.of[end - m - 1](chunk, x + m * kX, a.sums + m * kLaneRows, part == 0 ? ahead : none);
    }
    x += a.x_rows * kX;
  }
}

/// Rows of x for which this is fastest.
struct RowRange {
  std::int64_t least, most;
};
template <class Source, class Scheme>
constexpr LaneScheme lane_scheme(RowRange rows) {
  return {rows.least,
          rows.most,
          Source::kChunk,
          kXBytes<Scheme, Source::kChunk>,
          pack_row<Source, Scheme>,
          multiply<Source, Scheme>};
}
template <class Source>
constexpr LaneRowsKernel lane_rows_kernel(const char* format, RowRange standard, RowRange fast) {
  return {format, lane_scheme<Source, Halves>(standard), lane_scheme<Source, Bytes>(fast)};
}

constexpr LaneRowsKernel kKernels[] = {
    lane_rows_kernel<AffineLanes<2>>("affine2", {5, 128}, {8, 128}),
    lane_rows_kernel<AffineLanes<3>>("affine3", {6, 128}, {9, 64}),
    lane_rows_kernel<AffineLanes<4>>("affine4", {5, 128}, {8, 128}),
    lane_rows_kernel<AffineLanes<5>>("affine5", {6, 128}, {9, 64}),
    lane_rows_kernel<AffineLanes<6>>("affine6", {6, 128}, {9, 64}),
    lane_rows_kernel<AffineLanes<8>>("affine8", {10, 128}, {13, 128}),
    lane_rows_kernel<BlockLanes<Block4_0>>("q4_0", {6, 128}, {9, 64}),
    lane_rows_kernel<BlockLanes<Block4_1>>("q4_1", {6, 128}, {9, 64}),
    lane_rows_kernel<BlockLanes<Block5_0>>("q5_0", {6, 128}, {9, 64}),
    lane_rows_kernel<BlockLanes<Block5_1>>("q5_1", {6, 128}, {11, 64}),
    lane_rows_kernel<BlockLanes<Block8_0>>("q8_0", {10, 128}, {14, 64}),
};

}  // namespace

extern const LaneRowsUnit NIBBLE_LANE_ROWS;
const LaneRowsUnit NIBBLE_LANE_ROWS = {kKernels, sizeof(kKernels) / sizeof(LaneRowsKernel)};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
