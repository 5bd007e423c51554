// Few rows of x against tiles: chunks of kTileRows packed rows are decoded into the first cache, and each row of x
// comes from the second but once for all of them. Included inside a unit's unnamed namespace after few_rows.inl.h; a
// Source has kBits besides, of its codes.

constexpr int kTileRows = kMostRuns;

struct Tile {
  Codes codes[2][kHalfVectors][kTileRows];
  F scale[kTileRows], bias[kTileRows];
};

/// The next chunk of each row, of which they have `left` weights; kWhole: all.
template <bool kWhole, class Source>
[[gnu::always_inline]] inline void read_tile(const Source& source, typename Source::Place (&at)[kTileRows],
                                             std::int64_t left, Tile& tile) {
#pragma GCC unroll 8
  for (int r = 0; r < kTileRows; ++r) {
    const Chunk w = source.template chunk<kWhole>(at[r], left);
    source.next(at[r]);
#pragma GCC unroll 8
    for (int half = 0; half < 2; ++half) {
#pragma GCC unroll 8
      for (int t = 0; t < kHalfVectors; ++t) tile.codes[half][t][r] = w.codes[half][t];
    }
    tile.scale[r] = w.scale;
    tile.bias[r] = w.bias;
  }
}

/// sums += x · w of a tile, which may lack its second half, for all rows of x.
template <class Scheme>
[[gnu::always_inline]] inline void add_tile(const Tile& w, bool second, std::int64_t x_rows, const unsigned char*& x,
                                            float* const* sums) {
  const std::int64_t end = x_rows * kLanes;
  for (std::int64_t m = 0; m < end; m += kLanes, x += kXBytes<Scheme>) {
    typename Scheme::Sum total[2][kTileRows] = {};
#pragma GCC unroll 8
    for (int half = 0; half < 2; ++half) {
      if (half == 1 && !second) break;
#pragma GCC unroll 8
      for (int t = 0; t < kHalfVectors; ++t) {
        const auto xs = Scheme::load(x + half * kHalfBytes<Scheme>, t);
#pragma GCC unroll 8
        for (int r = 0; r < kTileRows; ++r) Scheme::add(total[half][r], w.codes[half][t][r], xs);
      }
    }
    const unsigned char* tail = x + 2 * kHalfBytes<Scheme>;
    const F units = load_f32(tail), x_sums = load_f32(tail + kVectorBytes);
#pragma GCC unroll 8
    for (int r = 0; r < kTileRows; ++r) {
      F y = load_f32(sums[r] + m);
      y = fma(mul(w.scale[r], units), join(Scheme::total(total[0][r]), Scheme::total(total[1][r])), y);
      store_f32(sums[r] + m, fma(w.bias[r], x_sums, y));
    }
  }
}

template <class Source, class Scheme>
void multiply_tiles(const FewRowsProduct& a) {
  const Source source(a.part);
  const std::int64_t whole = a.part.count / kChunkWeights, last = a.part.count % kChunkWeights;
  const std::int64_t x_rows = a.x_rows;  // that no store of sums can change
  for_packed_rows<kTileRows>(a, [&](const RowBytes* rows, float* const* sums) {
    typename Source::Place at[kTileRows];
    for (int r = 0; r < kTileRows; ++r) at[r] = source.place(rows[r]);
    const unsigned char* x = a.x;
    Tile w;
    for (std::int64_t c = 0; c < whole; ++c) {
      read_tile<true>(source, at, kChunkWeights, w);
      add_tile<Scheme>(w, true, x_rows, x, sums);
    }
    if (last > 0) {
      read_tile<false>(source, at, last, w);
      add_tile<Scheme>(w, last > kChunkWeights / 2, x_rows, x, sums);
    }
  });
}

/// For few_rows_unit. Rounded to bytes, x comes from the second cache as fast as products take it; codes of eight bits
/// are read about as fast again as from a tile.
struct Tiles {
  template <class Source, class Scheme>
  static constexpr auto many() -> void (*)(const FewRowsProduct&) {
    if constexpr (Scheme::kBytes > sizeof(Codes) && Source::kBits < 8) return multiply_tiles<Source, Scheme>;
    return nullptr;
  }
};
