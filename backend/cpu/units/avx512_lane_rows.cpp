// AVX-512 with VBMI and VNNI: two vectors of packed rows by up to eight rows of x. A row of x costs a dot product for
// four weights of sixteen rows, and each group a product and two FMAs more; in rows whose blocks are lanes (see
// avx512_few_rows.cpp) it is the same for half as many weights.
#ifndef NIBBLE_LANE_ROWS  // the tests define it to compile this file again through SIMDe
#define NIBBLE_LANE_ROWS kAvx512LaneRows
#include <immintrin.h>
#endif

#include <utility>

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
constexpr int kWords = 16;       // of a packed row that turn together: a chunk
constexpr int kLeastBlock = 32;  // weights that share a scale of x; of groups of 64 and more, twice as many
constexpr int kSliceGroups = 32, kSliceWords = 16;

/// Weights of which each word's codes come out as `per` vectors, by shifts.
template <int kBits>
constexpr int kPer = 8 / kBits;
template <int kBits>
constexpr int kSteps = kWords* kPer<kBits>;
template <int kBits>
constexpr int kChunk = 4 * kSteps<kBits>;

constexpr int block_of(int group) { return group < 64 ? kLeastBlock : 64; }

/// Sums in the type that vpdpbusd's pattern has in gcc 12: it copies or spills an accumulator of type __m512i at every
/// step.
using Ints = int __attribute__((vector_size(64)));
inline void dot_four(Ints& sum, __m512i codes, __m512i x) {
  sum = reinterpret_cast<Ints>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sum), codes, x));
}
inline __m512i four_of(const unsigned char* x) {
  std::int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return _mm512_set1_epi32(four);
}

// ---- x -------------------------------------------------------------------------------------------------------------

/// Sixteen activations in the order of their codes: of a word, first those that need no shift.
template <int kBits>
constexpr Table step_order() {
  Table t{};
  constexpr int kPerWord = 4 * kPer<kBits>;
  for (int i = 0; i < 16; ++i) {
    const int word = i / kPerWord, shift = i % kPerWord / 4, byte = i % 4;
    t.v[i] = static_cast<std::uint8_t>(word * kPerWord + byte * kPer<kBits> + shift);
  }
  return t;
}
template <int kBits>
constexpr Table kStepOrder = step_order<kBits>();

template <int kBits>
inline void store_in_order(unsigned char* out, __m512i words) {
  store128(out, _mm_shuffle_epi8(_mm512_cvtepi32_epi8(words), load128(kStepOrder<kBits>.v)));
}
inline __m512i rounded(const float* x, float inverse) {
  return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), _mm512_set1_ps(inverse)));
}

/// x = 256 · high + low, both int8: a chunk has first the high bytes, then the low ones.
template <int kCodeBits>
struct Halves {
  static constexpr int kBits = kCodeBits, kBytes = 2, kMostRows = 4, kLeastRows = kBits == 8 ? 10 : 5;
  static constexpr float kMost = 32512.f;
  struct Sum {
    Ints high = {}, low = {};
  };
  static std::int32_t round(const float* x, int n, float inverse, unsigned char* out) {
    __m512i total = _mm512_setzero_si512();
    for (int i = 0; i < n; i += kLanes) {
      const __m512i v = rounded(x + i, inverse);
      const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(v, _mm512_set1_epi32(128)), 8);
      store_in_order<kBits>(out + i, high);
      store_in_order<kBits>(out + kChunk<kBits> + i, _mm512_sub_epi32(v, _mm512_slli_epi32(high, 8)));
      total = _mm512_add_epi32(total, v);
    }
    return total_of(total);
  }
  [[gnu::always_inline]] static void add(Sum (&sums)[kVectors], const __m512i (&w)[kVectors], const unsigned char* x) {
    const __m512i high = four_of(x), low = four_of(x + kChunk<kBits>);
    each<kVectors>([&](auto v) __attribute__((always_inline)) { dot_four(sums[v].high, w[v], high); });
    each<kVectors>([&](auto v) __attribute__((always_inline)) { dot_four(sums[v].low, w[v], low); });
  }
  static F total(const Sum& s) { return {_mm512_cvtepi32_ps(reinterpret_cast<__m512i>((s.high << 8) + s.low))}; }
};

template <int kCodeBits>
struct Bytes {
  static constexpr int kBits = kCodeBits, kBytes = 1, kMostRows = 8, kLeastRows = kBits == 8 ? 13 : 8;
  static constexpr float kMost = 127.f;
  using Sum = Ints;
  static std::int32_t round(const float* x, int n, float inverse, unsigned char* out) {
    __m512i total = _mm512_setzero_si512();
    for (int i = 0; i < n; i += kLanes) {
      const __m512i v = rounded(x + i, inverse);
      store_in_order<kBits>(out + i, v);
      total = _mm512_add_epi32(total, v);
    }
    return total_of(total);
  }
  [[gnu::always_inline]] static void add(Sum (&sums)[kVectors], const __m512i (&w)[kVectors], const unsigned char* x) {
    const __m512i four = four_of(x);
    each<kVectors>([&](auto v) __attribute__((always_inline)) { dot_four(sums[v], w[v], four); });
  }
  static F total(Sum s) { return {_mm512_cvtepi32_ps(reinterpret_cast<__m512i>(s))}; }
};

/// Of a chunk of a row: its rounded activations, the unit of each block, and the sum of what they became.
template <class Scheme>
constexpr int kUnits = kChunk<Scheme::kBits>* Scheme::kBytes;
template <class Scheme>
constexpr int kXSums = kUnits<Scheme> + 4 * (kChunk<Scheme::kBits> / kLeastBlock);
template <class Scheme>
constexpr int kXBytes = kXSums<Scheme> + 4 * (kChunk<Scheme::kBits> / kLeastBlock);

template <class Scheme>
bool pack_row(const float* x, std::int64_t k, int group, std::int64_t pitch, unsigned char* packed) {
  constexpr int kWhole = kChunk<Scheme::kBits>;
  const int block = block_of(group);
  Rounding rounding;
  for (std::int64_t i = 0; i < k; i += kWhole, packed += pitch) {
    if (k - i < kWhole) __builtin_memset(packed, 0, kXBytes<Scheme>);
    const int here = static_cast<int>(k - i < kWhole ? k - i : kWhole);
    for (int j = 0; j < here; j += block) {
      const float* from = x + i + j;
      const std::uint32_t bits = max_magnitude(from, block);
      const float most = __builtin_bit_cast(float, bits);
      if (!has_integers(bits)) return false;
      const float unit = most / Scheme::kMost, inverse = bits == 0 ? 0.f : Scheme::kMost / most;
      const float sum = unit * static_cast<float>(Scheme::round(from, block, inverse, packed + j));
      rounding.add(from, block, inverse, unit);
      __builtin_memcpy(packed + kUnits<Scheme> + j / block * 4, &unit, 4);
      __builtin_memcpy(packed + kXSums<Scheme> + j / block * 4, &sum, 4);
    }
  }
  return rounding.stays_below(kMostLost<Scheme>);
}

// ---- w -------------------------------------------------------------------------------------------------------------

/// Words of 32 rows, of which each has `bytes` more.
[[gnu::always_inline]] inline void load_words(const unsigned char* const* rows, std::int64_t offset, std::int64_t bytes,
                                              __m512i (&r)[kLanes]) {
  if (bytes >= 64) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) r[i] = _mm512_loadu_si512(rows[i] + offset);
  } else {
    const __mmask64 some = ~(~std::uint64_t{0} << bytes);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) r[i] = _mm512_maskz_loadu_epi8(some, rows[i] + offset);
  }
}

template <int kBits>
struct Codes {
  alignas(64) unsigned char v[kSteps<kBits>][kVectors][64];

  [[gnu::noinline]] void read(const unsigned char* const (&rows)[kLaneRows], std::int64_t offset, std::int64_t bytes) {
    for (int vector = 0; vector < kVectors; ++vector) {
      __m512i r[kWords];
      load_words(rows + vector * kLanes, offset, bytes, r);
      transpose_words(r);
#pragma GCC unroll 16
      for (int word = 0; word < kWords; ++word) {
#pragma GCC unroll 4
        for (int shift = 0; shift < kPer<kBits>; ++shift) {
          const __m512i codes = shift == 0 ? r[word] : _mm512_srli_epi16(r[word], shift * kBits);
          const __m512i mask = _mm512_set1_epi8(static_cast<char>((1 << kBits) - 1));
          _mm512_store_si512(v[word * kPer<kBits> + shift][vector], kBits == 8 ? codes : _mm512_and_si512(codes, mask));
        }
      }
    }
  }
};

/// Scales or biases of some groups of 32 rows, a vector for each group and sixteen rows.
struct Scales {
  alignas(64) float v[kSliceGroups][kLaneRows];

  [[gnu::noinline]] void read(const unsigned char* const (&rows)[kLaneRows], std::int64_t offset, std::int64_t bytes,
                              Element element) {
    for (int vector = 0; vector < kVectors; ++vector) {
      __m512i r[kSliceWords];
      load_words(rows + vector * kLanes, offset, bytes, r);
      transpose_words(r);
      float* out = &v[0][vector * kLanes];
      for (int word = 0; word < kSliceWords; ++word) {
        if (element == Element::f32) {
          _mm512_store_si512(out + word * kLaneRows, r[word]);
        } else if (element == Element::bf16) {
          const __m512i high = _mm512_and_si512(r[word], _mm512_set1_epi32(static_cast<int>(0xffff0000u)));
          _mm512_store_si512(out + 2 * word * kLaneRows, _mm512_slli_epi32(r[word], 16));
          _mm512_store_si512(out + (2 * word + 1) * kLaneRows, high);
        } else {
          const __m256i low = _mm512_cvtepi32_epi16(r[word]),
                        high = _mm512_cvtepi32_epi16(_mm512_srli_epi32(r[word], 16));
          _mm512_store_ps(out + 2 * word * kLaneRows, _mm512_cvtph_ps(low));
          _mm512_store_ps(out + (2 * word + 1) * kLaneRows, _mm512_cvtph_ps(high));
        }
      }
    }
  }
};

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

/// A chunk of all packed rows against kRows rows of x.
template <class Scheme, int kRows>
[[gnu::noinline]] void multiply_chunk(const Codes<Scheme::kBits>& w, const float* scales, const float* biases,
                                      int group_shift, int block_steps, int blocks, const unsigned char* x, float* y,
                                      Ahead& asked) {
  constexpr int kAsked = kLaneRows < kSteps<Scheme::kBits> ? 1 : kLaneRows / kSteps<Scheme::kBits>;  // at a step
  const unsigned char(*codes)[kVectors][64] = w.v;
  const unsigned char* step = x;
  Ahead ahead = asked;
  for (int b = 0; b < blocks; ++b) {
    typename Scheme::Sum sums[kRows][kVectors] = {};
    for (int i = 0; i < block_steps; ++i, ++codes, step += 4) {
      for (int line = 0; line < kAsked; ++line) ahead.ask();
      __m512i four[kVectors];
      each<kVectors>([&](auto v) __attribute__((always_inline)) { four[v] = _mm512_load_si512((*codes)[v]); });
      each<kRows>([&](auto r)
                      __attribute__((always_inline)) { Scheme::add(sums[r], four, step + r * kXBytes<Scheme>); });
    }
    const std::int64_t group = (b >> group_shift) * kLaneRows;
    F scale[kVectors], bias[kVectors];
    each<kVectors>([&](auto v) __attribute__((always_inline)) {
      scale[v] = load_f32(scales + group + v * kLanes);
      bias[v] = load_f32(biases + group + v * kLanes);
    });
    each<kRows>([&](auto r) __attribute__((always_inline)) {
      float unit, sum;
      __builtin_memcpy(&unit, x + r * kXBytes<Scheme> + kUnits<Scheme> + 4 * b, 4);
      __builtin_memcpy(&sum, x + r * kXBytes<Scheme> + kXSums<Scheme> + 4 * b, 4);
      const F units = broadcast(unit), x_sums = broadcast(sum);
      each<kVectors>([&](auto v) __attribute__((always_inline)) {
        float* out = y + r * kLaneRows + v * kLanes;
        const F more = fma(bias[v], x_sums, load_f32(out));
        store_f32(out, fma(mul(scale[v], units), Scheme::total(sums[r][v]), more));
      });
    });
  }
  asked = ahead;
}
template <class Scheme, int... kRows>
struct ChunkProducts {
  static constexpr decltype(&multiply_chunk<Scheme, 1>) of[] = {multiply_chunk<Scheme, kRows + 1>...};
};
template <class Scheme, int... kRows>
constexpr ChunkProducts<Scheme, kRows...> chunk_products(std::integer_sequence<int, kRows...>) {
  return {};
}

struct RowPlaces {
  const unsigned char* of[3][kLaneRows];
  RowPlaces(const LaneProduct& a) {
    for (int c = 0; c < 3; ++c) {
      for (int r = 0; r < kLaneRows; ++r) {  // the last one again past the end
        of[c][r] = a.w.first.component[c] + (r < a.w.rows ? r : a.w.rows - 1) * a.pitch[c];
      }
    }
  }
};

constexpr std::int64_t kSegment = 16;  // chunks of each row that are asked for together

template <class Scheme>
void multiply(const LaneProduct& a) {
  constexpr int kBits = Scheme::kBits, kWhole = kChunk<kBits>;
  constexpr auto products = chunk_products<Scheme>(std::make_integer_sequence<int, Scheme::kMostRows>());
  const int size = a.scale == Element::f32 ? 4 : 2, slice = 64 / size * a.group;
  const int block = block_of(a.group), shift = __builtin_ctz(static_cast<unsigned>(a.group / block));
  const std::int64_t chunks = (a.length + kWhole - 1) / kWhole, codes_at = a.begin * kBits / 8,
                     scales_at = a.begin / a.group * size;
  const RowPlaces rows(a);
  const LaneTile& next = a.next.rows > 0 ? a.next : a.w;
  const std::int64_t parts = (a.x_rows + Scheme::kMostRows - 1) / Scheme::kMostRows;
  for (std::int64_t m = 0; m < a.x_rows; ++m) {
    each<kVectors>([&](auto v) { store_f32(a.sums + m * kLaneRows + v * kLanes, broadcast(0)); });
  }
  Codes<kBits> codes;
  Scales scales, biases;
  const unsigned char* x = a.x;
  Ahead ahead{}, none{a.x, 0, 0, 1};
  const unsigned char* scales_ahead[2];
  std::int64_t lines_a_chunk = 0;
  for (std::int64_t c = 0; c < chunks; ++c) {
    const std::int64_t k = c * kWhole, left = a.length - k;
    if (k % slice == 0) {
      const std::int64_t from = scales_at + k / a.group * size, bytes = left / a.group * size;
      scales.read(rows.of[1], from, bytes, a.scale);
      biases.read(rows.of[2], from, bytes, a.scale);
      // The next ones of these rows, or the first of those that follow.
      const std::int64_t slice_chunks = left > slice ? slice / kWhole : (left + kWhole - 1) / kWhole;
      lines_a_chunk = (kLaneRows + slice_chunks - 1) / slice_chunks;
      for (int s = 0; s < 2; ++s) {
        scales_ahead[s] =
            left > slice ? a.w.first.component[s + 1] + from + 64 : next.first.component[s + 1] + scales_at;
      }
    }
    for (int s = 0; s < 2; ++s) {
      for (std::int64_t line = 0; line < lines_a_chunk; ++line, scales_ahead[s] += a.pitch[s + 1]) {
        __builtin_prefetch(scales_ahead[s]);
      }
    }
    codes.read(rows.of[0], codes_at + 64 * c, left * kBits / 8);
    if (c % kSegment == 0) {  // the next one of these rows, or the first of those that follow
      const std::int64_t more = chunks - c - kSegment, lines = more > 0 ? more : chunks;
      ahead = {(more > 0 ? a.w.first.component[0] + 64 * (c + kSegment) : next.first.component[0]) + codes_at, 64, 0,
               static_cast<int>(lines < kSegment ? lines : kSegment)};
      ahead.jump = a.pitch[0] - 64 * ahead.lines;
    }
    const int blocks = static_cast<int>((left < kWhole ? left : kWhole) / block);
    const std::int64_t group = k % slice / a.group;
    for (std::int64_t part = 0; part < parts; ++part) {
      const std::int64_t m = a.x_rows * part / parts, end = a.x_rows * (part + 1) / parts;
      products.of[end - m - 1](codes, scales.v[group], biases.v[group], shift, block / 4, blocks,
                               x + m * kXBytes<Scheme>, a.sums + m * kLaneRows, part == 0 ? ahead : none);
    }
    x += a.x_rows * kXBytes<Scheme>;
  }
}

template <class Scheme>
constexpr LaneScheme lane_scheme() {
  return {Scheme::kLeastRows, 128, kChunk<Scheme::kBits>, kXBytes<Scheme>, pack_row<Scheme>, multiply<Scheme>};
}
template <int kBits>
constexpr LaneRowsKernel lane_rows_kernel(const char* format) {
  return {format, lane_scheme<Halves<kBits>>(), lane_scheme<Bytes<kBits>>()};
}
constexpr LaneRowsKernel kKernels[] = {
    lane_rows_kernel<2>("affine2"),
    lane_rows_kernel<4>("affine4"),
    lane_rows_kernel<8>("affine8"),
};

}  // namespace

extern const LaneRowsUnit NIBBLE_LANE_ROWS;
const LaneRowsUnit NIBBLE_LANE_ROWS = {kKernels, sizeof(kKernels) / sizeof(LaneRowsKernel)};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
