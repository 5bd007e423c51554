// AVX2 with FMA and F16C: each half of a vector is of one block, so that neighbouring blocks come as they lie. A chunk
// has eight, so that their scales are a vector.
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
#include "backend/cpu/units/integer_range.inl.h"
#include "backend/cpu/units/rounding.inl.h"

constexpr int kPackedRows = 1;  // sixteen registers hold no second one

#include "backend/cpu/units/packed_rows.inl.h"
// Schemes and codes, on all of the above.
#include "backend/cpu/units/avx2_few_codes.inl.h"

template <class Codes>
constexpr Order order_of() {
  Order order{};
  for (int i = 0; i < kFewBlock; ++i) {
    order.v[i] = static_cast<std::uint8_t>(Codes::weight(i / Codes::kInHalf, i % Codes::kInHalf));
  }
  return order;
}

/// Where a chunk of a packed row lies.
struct Place {
  const unsigned char *codes, *scales, *biases;
};

// ---- MLX triplets --------------------------------------------------------------------------------------------------

/// A stream of bits, scales, biases.
template <int kBits, class S>
class Affine : public Stream<kBits, S> {
 public:
  using Scheme = S;
  static constexpr int kBlockBytes = 4 * kBits, kChunkBytes = kChunkBlocks * kBlockBytes;
  static constexpr int kRoom = kChunkBytes + 2 * 4 * kLanes;
  explicit Affine(const RowPart& a)
      : element_(a.scale),
        size_(element_ == Element::f32 ? 4 : 2),
        group_(a.group),
        bytes_(kChunkWeights / group_ * size_),
        begin_(a.begin) {
    const __m256i block = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    const __m256i scale = _mm256_srl_epi32(block, _mm_cvtsi32_si128(group_ == 32 ? 0 : group_ == 64 ? 1 : 2));
    const auto bytes = [&](int step, int first) {
      return _mm256_add_epi32(_mm256_mullo_epi32(scale, _mm256_set1_epi32(step)), _mm256_set1_epi32(first));
    };
    if (element_ == Element::f32) {
      order_ = scale;
    } else if (element_ == Element::f16) {
      const __m256i words = bytes(0x0202, 0x0100);
      order_ = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0xd8);
    } else {  // the high half of a float, above zeros
      order_ = bytes(0x02020000, 0x01008080);
    }
  }
  Place place(const RowBytes& row) const {
    const std::int64_t skip = begin_ / group_ * size_;
    return {row.component[0] + begin_ / 8 * kBits, row.component[1] + skip, row.component[2] + skip};
  }
  [[gnu::always_inline]] void next(Place& at) const {
    at.codes += kChunkBytes;
    at.scales += bytes_;
    at.biases += bytes_;
  }
  [[gnu::always_inline]] void scales(const Place& at, F& scale, F& bias) const {
    if (bytes_ == 8) [[likely]] {
      scale = spread(_mm256_castsi128_si256(load64(at.scales)));
      bias = spread(_mm256_castsi128_si256(load64(at.biases)));
    } else {
      scale = spread(load_some(at.scales));
      bias = spread(load_some(at.biases));
    }
  }
  /// A chunk of which there are but some blocks, zeros behind them.
  Place copy(const Place& at, std::int64_t blocks, unsigned char* room) const {
    const Place to = {room, room + kChunkBytes, room + kChunkBytes + 4 * kLanes};
    const auto groups = static_cast<unsigned long>(blocks * kFewBlock / group_ * size_);
    __builtin_memset(room, 0, kRoom);
    __builtin_memcpy(room, at.codes, static_cast<unsigned long>(blocks * kBlockBytes));
    __builtin_memcpy(room + kChunkBytes, at.scales, groups);
    __builtin_memcpy(room + kChunkBytes + 4 * kLanes, at.biases, groups);
    return to;
  }

 private:
  [[gnu::noinline]] __m256i load_some(const unsigned char* p) const {
    std::int32_t four;
    __builtin_memcpy(&four, p, 4);
    if (bytes_ == 4) return _mm256_castsi128_si256(_mm_cvtsi32_si128(four));
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
  std::int64_t begin_;
  __m256i order_;
};

// ---- GGUF ----------------------------------------------------------------------------------------------------------

/// Four bits: sixteen bytes whose high halves are the last sixteen weights.
template <class B, class S>
struct LowCodes : Stream<4, S, B::kHalf> {
  static constexpr int weight(int t, int i) { return t % 2 * 16 + i * S::kSize + t / 2; }
};

/// Five bits.
template <class B>
struct FiveBitCodes : LowCodes<B, Words> {
  static void codes(const unsigned char* pair, __m256i (&out)[4]) {
    LowCodes<B, Words>::codes(pair, out);
    const unsigned char* high = pair + B::high - B::low;
    std::int32_t bits[2];
    __builtin_memcpy(&bits[0], high, 4);
    __builtin_memcpy(&bits[1], high + B::kHalf, 4);
    const __m256i all = _mm256_set_m128i(_mm_set1_epi32(bits[1]), _mm_set1_epi32(bits[0]));
    const __m256i even = _mm256_broadcastsi128_si256(_mm_setr_epi16(1, 4, 16, 64, 256, 1024, 4096, 16384));
    const __m256i odd = _mm256_add_epi16(even, even);
#pragma GCC unroll 2
    for (int t = 0; t < 2; ++t) {  // the low words' bits, then the high ones'
      const __m256i word = _mm256_shuffle_epi8(all, _mm256_set1_epi16(t == 0 ? 0x0100 : 0x0302));
      out[t] = _mm256_or_si256(out[t], sixteen_where(word, even));
      out[2 + t] = _mm256_or_si256(out[2 + t], sixteen_where(word, odd));
    }
  }

 private:
  static __m256i sixteen_where(__m256i word, __m256i bit) {
    const __m256i set = _mm256_cmpeq_epi16(_mm256_and_si256(word, bit), bit);
    return _mm256_and_si256(set, _mm256_set1_epi16(16));
  }
};

/// Eight bits with a sign, as their row's zero point makes of them.
template <class B>
struct EightBitCodes : Stream<8, Words, B::kHalf> {
  static void codes(const unsigned char* pair, __m256i (&out)[4]) {
    Stream<8, Words, B::kHalf>::codes(pair, out);
#pragma GCC unroll 4
    for (int t = 0; t < 4; ++t) out[t] = _mm256_xor_si256(out[t], _mm256_set1_epi16(128));
  }
};

/// A block begins with its scale, and its minimum if it has one, in halves; then come its codes.
template <class B, class S, class Codes>
class Block : public Codes {
 public:
  using Scheme = S;
  static constexpr int kBlockBytes = B::kHalf, kChunkBytes = kChunkBlocks * kBlockBytes, kRoom = kChunkBytes;
  static_assert(B::minimum == 0 || B::minimum == 2);
  explicit Block(const RowPart& a) : begin_(a.begin / kFewBlock * kBlockBytes) {}
  Place place(const RowBytes& row) const {
    const unsigned char* first = row.component[0] + begin_;
    return {first + B::low, first, first};
  }
  [[gnu::always_inline]] void next(Place& at) const {
    at.codes += kChunkBytes;
    at.scales += kChunkBytes;
  }
  [[gnu::always_inline]] void scales(const Place& at, F& scale, F& bias) const {
    if constexpr (B::minimum == 0) {
      const auto half = [&](int b) {
        std::int16_t h;
        __builtin_memcpy(&h, at.scales + b * kBlockBytes, 2);
        return h;
      };
      scale.v = _mm256_cvtph_ps(_mm_setr_epi16(half(0), half(2), half(4), half(6), half(1), half(3), half(5), half(7)));
      bias.v = _mm256_mul_ps(scale.v, _mm256_set1_ps(-B::zero));
    } else {
      const auto both = [&](int b) {
        std::int32_t p;
        __builtin_memcpy(&p, at.scales + b * kBlockBytes, 4);
        return p;
      };
      const __m256 first = _mm256_cvtph_ps(_mm_setr_epi32(both(0), both(2), both(1), both(3)));
      const __m256 second = _mm256_cvtph_ps(_mm_setr_epi32(both(4), both(6), both(5), both(7)));
      scale.v = _mm256_shuffle_ps(first, second, 0x88);
      bias.v = _mm256_shuffle_ps(first, second, 0xdd);
    }
  }
  Place copy(const Place& at, std::int64_t blocks, unsigned char* room) const {
    __builtin_memset(room, 0, kRoom);
    __builtin_memcpy(room, at.scales, static_cast<unsigned long>(blocks * kBlockBytes));
    return {room + B::low, room, room};
  }

 private:
  std::int64_t begin_;
};
template <class B, class S>
using FourBitBlock = Block<B, S, LowCodes<B, S>>;
template <class B>
using FiveBitBlock = Block<B, Words, FiveBitCodes<B>>;
template <class B>
using EightBitBlock = Block<B, Words, EightBitCodes<B>>;

// ---- the product ---------------------------------------------------------------------------------------------------

/// y[row of x] += x · w over the first `pairs` of a chunk. Two chains of sums, since the latency of one would be what
/// takes time.
template <class Source, int kRows>
[[gnu::always_inline]] inline void add_chunk(const Source& source, const Place& at, const unsigned char* x, int pairs,
                                             F (&y)[kRows]) {
  using Scheme = typename Source::Scheme;
  constexpr int kX = kXBytes<Scheme>, kVectors = Source::kVectors;
  F scale, bias;
  source.scales(at, scale, bias);
  F factors[kRows], sums[kRows][2];
#pragma GCC unroll 8
  for (int m = 0; m < kRows; ++m) {
    const auto* units = reinterpret_cast<const float*>(x + m * kX + kUnits<Scheme>);
    factors[m] = mul(scale, load_f32(units));
    sums[m][0] = mul(bias, load_f32(units + kLanes));
    sums[m][1] = broadcast(0.f);
  }
  each<kChunkPairs>([&](auto pair) __attribute__((always_inline)) {
    if (pair >= pairs) return;
    constexpr int kFactor = pair * 0x55;  // the pair's, in all four places
    __m256i w[kVectors];
    Source::codes(at.codes + pair * 2 * Source::kBlockBytes, w);
#pragma GCC unroll 8
    for (int m = 0; m < kRows; ++m) {
      const __m256i product = Scheme::dot(w, x + m * kX + pair * kVectors * 32);
      const F factor = {_mm256_permute_ps(factors[m].v, kFactor)};
      F& sum = sums[m][pair % 2];
      sum = fma(factor, {_mm256_cvtepi32_ps(product)}, sum);
    }
  });
#pragma GCC unroll 8
  for (int m = 0; m < kRows; ++m) y[m] = add(y[m], add(sums[m][0], sums[m][1]));
}

/// y[row of x] += x · w for kRows neighbouring rows of x, from `first` on.
template <class Source, int kRows>
[[gnu::always_inline]] inline void add_row(const Source& source, const RowBytes& row, const FewRowsProduct& a,
                                           std::int64_t first, F (&y)[kRows]) {
  constexpr int kX = kXBytes<typename Source::Scheme>;
  const std::int64_t pitch = a.x_rows * kX;
  const unsigned char* x = a.x + first * kX;
  Place at = source.place(row);
  for (std::int64_t c = 0; c < a.part.count / kChunkWeights; ++c, x += pitch) {
    fetch<Source::kChunkBytes>(at.codes + a.part.ahead);
    add_chunk(source, at, x, kChunkPairs, y);
    source.next(at);
  }
  if (const int blocks = static_cast<int>(a.part.count % kChunkWeights) / kFewBlock; blocks > 0) {
    unsigned char room[Source::kRoom];
    add_chunk(source, source.copy(at, blocks, room), x, (blocks + 1) / 2, y);
  }
}

template <class Source>
void multiply_one(const FewRowsProduct& a) {
  const Source source(a.part);
  for_packed_rows(a, [&](const RowBytes* row, float* const* sums) {
    F y[1] = {};
    add_row(source, *row, a, 0, y);
    store_f32(*sums, y[0]);
  });
}

template <class Source, int kRows>
[[gnu::noinline]] void add_rows(const Source& source, const RowBytes& row, const FewRowsProduct& a, std::int64_t first,
                                float* sums) {
  F y[kRows];
#pragma GCC unroll 8
  for (int m = 0; m < kRows; ++m) y[m] = load_f32(sums + (first + m) * kLanes);
  add_row(source, row, a, first, y);
#pragma GCC unroll 8
  for (int m = 0; m < kRows; ++m) store_f32(sums + (first + m) * kLanes, y[m]);
}
/// Four rows at a time, whose sums registers hold beside a pair's codes.
template <class Source>
void multiply_some(const FewRowsProduct& a) {
  const Source source(a.part);
  for_packed_rows(a, [&](const RowBytes* row, float* const* sums) {
    std::int64_t first = 0;
    for (; first + 4 <= a.x_rows; first += 4) add_rows<Source, 4>(source, *row, a, first, *sums);
    for (; first < a.x_rows; ++first) add_rows<Source, 1>(source, *row, a, first, *sums);
  });
}

// ---- formats -------------------------------------------------------------------------------------------------------

template <class Source>
constexpr Order kOrder = order_of<Source>();

template <class Source>
constexpr FewRowsScheme scheme() {
  using Scheme = typename Source::Scheme;
  return {kChunkWeights, kXBytes<Scheme>,      kOrder<Source>.v,     pack_row<Scheme>,
          nullptr,       multiply_one<Source>, multiply_some<Source>};
}
/// Where only words serve, both schemes are one.
template <class Standard, class Fast = Standard>
constexpr FewRowsKernel kernel(const char* format) {
  return {format, {scheme<Standard>(), scheme<Fast>()}};
}

constexpr FewRowsKernel kKernels[] = {
    kernel<Affine<2, Words>, Affine<2, Bytes>>("affine2"),
    kernel<Affine<3, Words>>("affine3"),
    kernel<Affine<4, Words>, Affine<4, Bytes>>("affine4"),
    kernel<Affine<5, Words>>("affine5"),
    kernel<Affine<6, Words>>("affine6"),
    kernel<Affine<8, Words>>("affine8"),
    kernel<FourBitBlock<Block4_0, Words>, FourBitBlock<Block4_0, Bytes>>("q4_0"),
    kernel<FourBitBlock<Block4_1, Words>, FourBitBlock<Block4_1, Bytes>>("q4_1"),
    kernel<FiveBitBlock<Block5_0>>("q5_0"),
    kernel<FiveBitBlock<Block5_1>>("q5_1"),
    kernel<EightBitBlock<Block8_0>>("q8_0"),
};

}  // namespace

extern const FewRowsKernels NIBBLE_FEW_BLOCKS;
extern const FewRowsUnit NIBBLE_FEW_ROWS;
const FewRowsUnit NIBBLE_FEW_ROWS = {
    10, reduce, {kKernels, sizeof(kKernels) / sizeof(FewRowsKernel)}, &NIBBLE_FEW_BLOCKS, false,
};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
