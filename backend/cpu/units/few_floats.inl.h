// Few rows of x and streams of floats of eight bits, which multiply as what they are. Included by few_streams.inl.h,
// after StreamBlock; the unit has
//   kFloatBytes                     bytes that become floats at once
//   place_of_float(i)               which of those float i is of
//   floats_of_bytes<Number>(in, w)  vectors of them, of which kFloatUnit<Number> are 1

constexpr int kFloatVectors = kFloatBytes / kLanes;

/// A row of x in the order of those floats.
inline bool place_row(const float* x, std::int64_t k, const std::uint8_t*, std::int64_t pitch, unsigned char* packed) {
  for (; k > 0; k -= kChunkWeights, x += kChunkWeights, packed += pitch) {
    const int count = static_cast<int>(k < kChunkWeights ? k : kChunkWeights);
    if (!has_integers(max_magnitude(x, count))) return false;
    float in[kChunkWeights] = {}, out[kChunkWeights];
    __builtin_memcpy(in, x, 4 * static_cast<unsigned long>(count));
    for (int i = 0; i < kChunkWeights; ++i)
      out[i] = in[i / kFloatBytes * kFloatBytes + place_of_float(i % kFloatBytes)];
    __builtin_memcpy(packed, out, sizeof out);
  }
  return true;
}

/// Of a run of some packed rows.
template <class Stream>
struct FloatRun {
  static constexpr int kXBytes = 4;  ///< of an activation
  static constexpr int kVectors = kFloatRun<Stream> / kLanes;
  F w[kPackedRows][kVectors];
  F scale[kPackedRows];  ///< of each lane's group

  template <int kRun, Element kScale>
  [[gnu::always_inline]] void read(const StreamBlock<Stream, kScale> (&blocks)[kPackedRows]) {
    each<kPackedRows>([&](auto r) __attribute__((always_inline)) {
      scale[r] = blocks[r].template scale_of_run<kRun>();
      each<kFloatRun<Stream> / kFloatBytes>([&](auto i) __attribute__((always_inline)) {
        F some[kFloatVectors];
        floats_of_bytes<typename Stream::Number>(blocks[r].bytes() + kRun * kFloatRun<Stream> + i * kFloatBytes, some);
        for (int v = 0; v < kFloatVectors; ++v) w[r][i * kFloatVectors + v] = some[v];
      });
    });
  }
  /// y += x · w for one row of x.
  [[gnu::always_inline]] void add_to(const unsigned char* x, F (&y)[kPackedRows]) const {
    F sums[kPackedRows][2] = {};
    each<kVectors>([&](auto v) __attribute__((always_inline)) {
      const F xs = load_f32(reinterpret_cast<const float*>(x) + v * kLanes);
      each<kPackedRows>([&](auto r)
                            __attribute__((always_inline)) { sums[r][v % 2] = fma(w[r][v], xs, sums[r][v % 2]); });
    });
    each<kPackedRows>([&](auto r) __attribute__((always_inline)) {
      constexpr float kUnit = kFloatUnit<typename Stream::Number>;
      F sum = add(sums[r][0], sums[r][1]);
      if constexpr (kUnit != 1) sum = mul(sum, broadcast(kUnit));  // which times some scales would be infinite
      y[r] = fma(sum, scale[r], y[r]);
    });
  }
  /// The two for the only row of x.
  template <int kRun, Element kScale>
  [[gnu::always_inline]] static void add_once(const StreamBlock<Stream, kScale> (&blocks)[kPackedRows],
                                              const unsigned char* x, F (&y)[kPackedRows]) {
    FloatRun w;
    w.template read<kRun>(blocks);
    w.add_to(x, y);
  }
};

/// Runs, each against all rows of x.
template <class Stream, class Run, bool kOne>
struct FloatProduct {
  template <Element kScale>
  struct By {
    static void run(const FewRowsProduct& a) {
      for_packed_rows(
          a, [&](const RowBytes* rows, float* const* sums) __attribute__((always_inline)) {
            F y[kPackedRows] = {};
            const unsigned char* x = a.x;
            for_blocks<Stream, kScale>(
                rows,
                a.part, [&](const StreamBlock<Stream, kScale>(&blocks)[kPackedRows]) __attribute__((always_inline)) {
                  multiply(blocks, x, a.x_rows, sums, y);
                  x += a.x_rows * kBlockWeights * Run::kXBytes;
                });
            for (int r = 0; kOne && r < kPackedRows; ++r) store_f32(sums[r], y[r]);
          });
    }
    [[gnu::always_inline]] static void multiply(const StreamBlock<Stream, kScale> (&blocks)[kPackedRows],
                                                const unsigned char* x, std::int64_t x_rows, float* const* sums,
                                                F (&y)[kPackedRows]) {
      each<kBlockWeights / kFloatRun<Stream>>([&](auto run) __attribute__((always_inline)) {
        const unsigned char* xs = x + run * kFloatRun<Stream> * Run::kXBytes;
        if constexpr (kOne) {
          Run::template add_once<run>(blocks, xs, y);
        } else {
          Run w;
          w.template read<run>(blocks);
          for (std::int64_t m = 0; m < x_rows; ++m, xs += kBlockWeights * Run::kXBytes) {
            F some[kPackedRows];
            for (int r = 0; r < kPackedRows; ++r) some[r] = load_f32(sums[r] + m * kLanes);
            w.add_to(xs, some);
            for (int r = 0; r < kPackedRows; ++r) store_f32(sums[r] + m * kLanes, some[r]);
          }
        }
      });
    }
  };
};

/// pack_of is what lays x out for Run.
template <class Stream, class Run>
constexpr FewRowsScheme float_scheme_of(decltype(FewRowsScheme::pack) pack_of) {
  return {kChunkWeights,
          Run::kXBytes * kChunkWeights,
          nullptr,
          pack_of,
          nullptr,
          by_scales<Stream, FloatProduct<Stream, Run, true>::template By>,
          by_scales<Stream, FloatProduct<Stream, Run, false>::template By>};
}
template <class Stream>
constexpr FewRowsScheme float_scheme() {
  return float_scheme_of<Stream, FloatRun<Stream>>(place_row);
}
