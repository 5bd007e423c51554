// A microkernel for few rows of x whose lanes are blocks of weights: the codes of half a chunk are brought into vectors
// of which piece j holds a few neighbouring codes of block j. Dot products with x, laid out alike, leave the sum of
// block j in lanes 2j and 2j + 1 exactly; those of both halves join to a vector with a lane for each block, so that one
// conversion and one multiplication by scales serve a whole chunk. Included inside a unit's unnamed namespace after its
// floats, max_magnitude, Codes, Chunk, kHalfVectors of codes in half a chunk, kPackedRows at once, and its schemes,
// each of
//   kMost             the largest rounded activation
//   kBytes            bytes of x that meet a vector of codes
//   round             a block of activations into piece j of half a chunk; returns their sum
//   Sum, add, total   integer sums of half a chunk; how vector t of codes and of x joins them; the sum in each lane.
// join makes the vector of both halves' sums, and lane_of tells where it has a block's. A format is a Source: its
// schemes Standard and Fast, kOrder, place(row), where a row begins, next(place), a chunk on, and chunk<kWhole>(place,
// left), which has `left` weights.

#include "backend/cpu/units/integer_range.inl.h"
#include "backend/cpu/units/packed_rows.inl.h"
#include "backend/cpu/units/rounding.inl.h"

/// The order in which codes come out of eight windows by shifts alone, each of which holds `per` of them; 1: in natural
/// order.
constexpr Order window_order(int per) {
  Order order{};
  for (int i = 0; i < kFewBlock; ++i) {
    const int piece = i / 8;  // of the pieces, `per` come from the same windows
    order.v[i] = static_cast<std::uint8_t>(piece / per * 8 * per + i % 8 * per + piece % per);
  }
  return order;
}
/// Codes of 2 and 4 bits share bytes; others are brought into natural order.
constexpr bool shifts_alone(int bits) { return bits == 2 || bits == 4; }
constexpr Order affine_order(int bits) { return window_order(shifts_alone(bits) ? 8 / bits : 1); }

constexpr int kHalfBlocks = kLanes / 2, kChunkBlocks = kLanes;
constexpr int kChunkWeights = kChunkBlocks * kFewBlock, kRoundedWeights = kFewBlock;
constexpr int kVectorBytes = 4 * kLanes;

/// Of one chunk of a packed row of x: the rounded activations of either half, a vector of all units and one of sums.
template <class Scheme>
constexpr int kHalfBytes = kHalfVectors* Scheme::kBytes;
template <class Scheme>
constexpr int kXBytes = 2 * kHalfBytes<Scheme> + 2 * kVectorBytes;

/// Block `j` of a chunk. The sum is that of the rounded activations, exact: with the original ones their rounding would
/// meet uncentred codes.
template <class Scheme>
bool pack_block(const float* x, const std::uint8_t* order, int j, unsigned char* out, Rounding& rounding) {
  const std::uint32_t bits = max_magnitude(x, kFewBlock);
  const float most = __builtin_bit_cast(float, bits);
  if (!has_integers(bits)) return false;
  unsigned char* half = out + j / kHalfBlocks * kHalfBytes<Scheme>;
  const float unit = most / Scheme::kMost, inverse = bits == 0 ? 0.f : Scheme::kMost / most;
  const std::int32_t total = Scheme::round(x, inverse, order, j % kHalfBlocks, half);
  const float sum = unit * static_cast<float>(total);
  rounding.add(x, kFewBlock, inverse, unit);
  unsigned char* tail = out + 2 * kHalfBytes<Scheme> + 4 * lane_of(j);
  __builtin_memcpy(tail, &unit, 4);
  __builtin_memcpy(tail + kVectorBytes, &sum, 4);
  return true;
}

#include "backend/cpu/units/pack_row.inl.h"

/// A block is a piece of each vector of codes in its half of a chunk, and a lane of the two behind them. What is at one
/// place of every vector is written out in a line, of which any part can be read.
template <class Scheme>
void repeat_row(const unsigned char* packed, std::int64_t blocks, std::int64_t joined, unsigned char* out) {
  constexpr int kPiece = kVectorBytes / kHalfBlocks;
  const std::int64_t halves = joined * blocks / kHalfBlocks;
  const auto half_at = [](std::int64_t h) { return h / 2 * kXBytes<Scheme> + h % 2 * kHalfBytes<Scheme>; };
  for (int t = 0; t < kHalfBytes<Scheme>; t += kVectorBytes) {
    unsigned char line[kPiece * kMostJoinedBlocks + 2 * kVectorBytes];
    for (std::int64_t h = 0; h * kHalfBlocks < blocks; ++h) {
      __builtin_memcpy(line + h * kVectorBytes, packed + half_at(h) + t, kVectorBytes);
    }
    __builtin_memcpy(line + blocks * kPiece, line, kVectorBytes);
    for (std::int64_t h = 0, at = 0; h < halves; ++h) {
      __builtin_memcpy(out + half_at(h) + t, line + at * kPiece, kVectorBytes);
      at += at + kHalfBlocks < blocks ? kHalfBlocks : kHalfBlocks - blocks;
    }
  }
  for (int tail = 2 * kHalfBytes<Scheme>; tail < kXBytes<Scheme>; tail += kVectorBytes) {
    std::int32_t line[kMostJoinedBlocks + 2 * kChunkBlocks];
    const auto each = [&](std::int64_t first, auto&& copy) {
      for (int j = 0; j < kChunkBlocks; ++j) copy(&line[first + j], 4 * lane_of(j) + tail);
    };
    for (std::int64_t c = 0; c * kChunkBlocks < blocks; ++c) {
      const unsigned char* from = packed + c * kXBytes<Scheme>;
      each(c * kChunkBlocks, [&](std::int32_t* block, int at) { __builtin_memcpy(block, from + at, 4); });
    }
    __builtin_memcpy(line + blocks, line, sizeof(std::int32_t) * kChunkBlocks);
    for (std::int64_t c = 0, at = 0; 2 * c < halves; ++c) {
      unsigned char* to = out + c * kXBytes<Scheme>;
      each(at, [&](std::int32_t* block, int lane) { __builtin_memcpy(to + lane, block, 4); });
      at += at + kChunkBlocks < blocks ? kChunkBlocks : kChunkBlocks - blocks;
    }
  }
}

/// y += a row of x · w, of a chunk, which may lack its second half. Short loops unroll, so that all stays in registers.
template <class Scheme>
[[gnu::always_inline]] inline void add_chunk(const Chunk (&w)[kPackedRows], bool second, const unsigned char* x,
                                             F (&y)[kPackedRows]) {
  const unsigned char* tail = x + 2 * kHalfBytes<Scheme>;
  typename Scheme::Sum sums[2][kPackedRows] = {};
#pragma GCC unroll 8
  for (int half = 0; half < 2; ++half) {
    if (half == 1 && !second) break;
#pragma GCC unroll 8
    for (int t = 0; t < kHalfVectors; ++t) {
      const auto xs = Scheme::load(x + half * kHalfBytes<Scheme>, t);
#pragma GCC unroll 8
      for (int r = 0; r < kPackedRows; ++r) Scheme::add(sums[half][r], w[r].codes[half][t], xs);
    }
  }
  const F units = load_f32(tail), x_sums = load_f32(tail + kVectorBytes);
#pragma GCC unroll 8
  for (int r = 0; r < kPackedRows; ++r) {
    y[r] = fma(mul(w[r].scale, units), join(Scheme::total(sums[0][r]), Scheme::total(sums[1][r])), y[r]);
    y[r] = fma(w[r].bias, x_sums, y[r]);
  }
}

inline std::int64_t chunks_of(const RowPart& part) { return (part.count + kChunkWeights - 1) / kChunkWeights; }
inline bool has_second_half(const RowPart& part, std::int64_t chunk) {
  return part.count - chunk * kChunkWeights > kChunkWeights / 2;
}

/// The next chunk of each row, of which they have `left` weights; kWhole: all.
template <bool kWhole, class Source>
[[gnu::always_inline]] inline void read_chunk(const Source& source, typename Source::Place (&at)[kPackedRows],
                                              std::int64_t left, Chunk (&w)[kPackedRows]) {
#pragma GCC unroll 8
  for (int r = 0; r < kPackedRows; ++r) {
    w[r] = source.template chunk<kWhole>(at[r], left);
    source.next(at[r]);
  }
}
template <class Source>
[[gnu::always_inline]] inline void places_of(const Source& source, const RowBytes* rows,
                                             typename Source::Place (&at)[kPackedRows]) {
#pragma GCC unroll 8
  for (int r = 0; r < kPackedRows; ++r) at[r] = source.place(rows[r]);
}

/// Of joined rows, one may end inside a chunk, whose other blocks begin the next one.
template <class Source, class Scheme>
[[gnu::noinline]] void multiply_joined(const FewRowsProduct& a) {
  const Source source(a.part);
  const std::int64_t chunks = chunks_of(a.part), blocks = a.part.count / kFewBlock / a.joined;
  for_packed_rows(a, [&](const RowBytes* rows, float* const* sums) {
    F y[kPackedRows] = {};
    typename Source::Place at[kPackedRows];
    places_of(source, rows, at);
    const unsigned char* x = a.x;
    std::int64_t left = blocks, row = 0;  // of the row that is being added up
    for (std::int64_t c = 0; c < chunks; ++c, x += kXBytes<Scheme>, left -= kChunkBlocks) {
      Chunk w[kPackedRows];
      read_chunk<false>(source, at, a.part.count - c * kChunkWeights, w);
      const bool cut = left < kChunkBlocks && c + 1 < chunks;
      F before[kPackedRows] = {};
#pragma GCC unroll 8
      for (int r = 0; cut && r < kPackedRows; ++r) {
        before[r] = y[r];
        y[r] = broadcast(0);
      }
      add_chunk<Scheme>(w, has_second_half(a.part, c), x, y);
      if (left > kChunkBlocks) continue;
      const int end = static_cast<int>(left);
#pragma GCC unroll 8
      for (int r = 0; r < kPackedRows; ++r) {
        store_f32(sums[r] + row, cut ? add(before[r], blocks_below(end, y[r])) : y[r]);
        y[r] = cut ? blocks_from(end, y[r]) : broadcast(0);
      }
      row += kLanes;
      left += blocks;
    }
  });
}

template <class Source, class Scheme>
void multiply_one(const FewRowsProduct& a) {
  if (a.joined > 1) return multiply_joined<Source, Scheme>(a);
  const Source source(a.part);
  const std::int64_t whole = a.part.count / kChunkWeights, last = a.part.count % kChunkWeights;
  for_packed_rows(a, [&](const RowBytes* rows, float* const* sums) {
    F y[kPackedRows] = {};
    typename Source::Place at[kPackedRows];
    places_of(source, rows, at);
    const unsigned char* x = a.x;
    Chunk w[kPackedRows];
    for (std::int64_t c = 0; c < whole; ++c, x += kXBytes<Scheme>) {
      read_chunk<true>(source, at, kChunkWeights, w);
      add_chunk<Scheme>(w, true, x, y);
    }
    if (last > 0) {
      read_chunk<false>(source, at, last, w);
      add_chunk<Scheme>(w, last > kChunkWeights / 2, x, y);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kPackedRows; ++r) store_f32(sums[r], y[r]);
  });
}

/// The chunk against all rows of x: their sums come from the first cache and return there.
template <class Scheme>
[[gnu::always_inline]] inline void add_chunk_of_some(const Chunk (&w)[kPackedRows], bool second, std::int64_t x_rows,
                                                     const unsigned char*& x, float* const* sums) {
  const std::int64_t end = x_rows * kLanes;
  for (std::int64_t m = 0; m < end; m += kLanes, x += kXBytes<Scheme>) {
    F y[kPackedRows];
#pragma GCC unroll 8
    for (int r = 0; r < kPackedRows; ++r) y[r] = load_f32(sums[r] + m);
    add_chunk<Scheme>(w, second, x, y);
#pragma GCC unroll 8
    for (int r = 0; r < kPackedRows; ++r) store_f32(sums[r] + m, y[r]);
  }
}

/// Registers hold a chunk of w while all rows of x meet it.
template <class Source, class Scheme>
void multiply_some(const FewRowsProduct& a) {
  const Source source(a.part);
  const std::int64_t whole = a.part.count / kChunkWeights, last = a.part.count % kChunkWeights;
  const std::int64_t x_rows = a.x_rows;  // that no store of sums can change
  for_packed_rows(a, [&](const RowBytes* rows, float* const* sums) {
    typename Source::Place at[kPackedRows];
    places_of(source, rows, at);
    const unsigned char* x = a.x;
    Chunk w[kPackedRows];
    for (std::int64_t c = 0; c < whole; ++c) {
      read_chunk<true>(source, at, kChunkWeights, w);
      add_chunk_of_some<Scheme>(w, true, x_rows, x, sums);
    }
    if (last > 0) {
      read_chunk<false>(source, at, last, w);
      add_chunk_of_some<Scheme>(w, last > kChunkWeights / 2, x_rows, x, sums);
    }
  });
}

/// What multiplies many rows of x, in units that have nothing else for them; few_tiles.inl.h has.
struct NoTiles {
  template <class Source, class Scheme>
  static constexpr auto many() -> void (*)(const FewRowsProduct&) {
    return nullptr;
  }
};

template <class Source, class Scheme, class Many>
constexpr FewRowsScheme few_rows_scheme() {
  return {kChunkWeights,
          kXBytes<Scheme>,
          Source::kOrder.v,
          pack_row<Scheme>,
          repeat_row<Scheme>,
          multiply_one<Source, Scheme>,
          multiply_some<Source, Scheme>,
          Many::template many<Source, Scheme>()};
}
template <class Many, class Source>
constexpr FewRowsKernel few_rows_kernel(const char* format) {
  return {format,
          {few_rows_scheme<Source, typename Source::Standard, Many>(),
           few_rows_scheme<Source, typename Source::Fast, Many>()}};
}

/// The formats, a row each, by how a unit reads streams of bits and blocks.
template <template <int> class Affine, template <class> class Block, class Many>
constexpr FewRowsKernel kFewRowsKernels[] = {
    few_rows_kernel<Many, Affine<2>>("affine2"),    few_rows_kernel<Many, Affine<3>>("affine3"),
    few_rows_kernel<Many, Affine<4>>("affine4"),    few_rows_kernel<Many, Affine<5>>("affine5"),
    few_rows_kernel<Many, Affine<6>>("affine6"),    few_rows_kernel<Many, Affine<8>>("affine8"),
    few_rows_kernel<Many, Block<Block4_0>>("q4_0"), few_rows_kernel<Many, Block<Block4_1>>("q4_1"),
    few_rows_kernel<Many, Block<Block5_0>>("q5_0"), few_rows_kernel<Many, Block<Block5_1>>("q5_1"),
    few_rows_kernel<Many, Block<Block8_0>>("q8_0"),
};
template <template <int> class Affine, template <class> class Block, class Many = NoTiles>
constexpr FewRowsUnit few_rows_unit(int most_rows, int most_named_rows, const FewRowsKernels* blocks,
                                    bool side_by_side = true) {
  constexpr auto& kernels = kFewRowsKernels<Affine, Block, Many>;
  return {most_rows, most_named_rows, reduce, {kernels, sizeof(kernels) / sizeof(FewRowsKernel)}, blocks, side_by_side};
}
