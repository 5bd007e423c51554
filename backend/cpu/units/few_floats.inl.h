// Few rows of x and streams of floats of eight bits, which multiply as what they are. Included before few_streams.inl.h
// and after few_blocks.inl.h; the unit has floats_of_bytes<shift>(in, w), two vectors of fp32 from bytes that are, but
// for their sign, the bits of an f16 from bit `shift` on.

/// A row of x as it is.
inline bool copy_row(const float* x, std::int64_t k, const std::uint8_t*, std::int64_t pitch, unsigned char* packed) {
  for (; k > 0; k -= kChunkWeights, x += kChunkWeights, packed += pitch) {
    __builtin_memcpy(packed, x, static_cast<unsigned long>(4 * (k < kChunkWeights ? k : kChunkWeights)));
  }
  return true;
}

/// The values of a group of weights.
template <class Stream>
class FloatGroup {
 public:
  [[gnu::always_inline]] FloatGroup(const RowBytes& row, std::int64_t first) : in_(row.component[0] + first) {
    const float scale = Stream::scale(row, first / Stream::kGroup), of_half = scale * Number::kHalfUnit;
    is_vast_ = of_half - of_half != 0;
    scale_ = is_vast_ ? scale : of_half;
  }
  /// Weights i to i + 2 · kLanes − 1.
  [[gnu::always_inline]] void pair(int i, F (&w)[2]) const {
    floats_of_bytes<Number::kHalfShift>(in_ + i, w);
    for (F& v : w) {
      if (is_vast_) [[unlikely]]
        v = mul(v, broadcast(Number::kHalfUnit));
      v = mul(v, broadcast(scale_));
    }
  }

 private:
  using Number = typename Stream::Number;

  const unsigned char* in_;
  float scale_;
  bool is_vast_;  ///< so that the unit of an f16 does not fit into the scale
};

/// Σ x · w of a group, two vectors at a time.
template <int kGroup, class Pair>
[[gnu::always_inline]] inline F product_of_group(const float* x, Pair&& pair) {
  F sums[2] = {};
  for (int i = 0; i < kGroup; i += 2 * kLanes) {
    F w[2];
    pair(i, w);
    for (int h = 0; h < 2; ++h) sums[h] = fma(w[h], load_f32(x + i + h * kLanes), sums[h]);
  }
  return add(sums[0], sums[1]);
}

template <class Stream, bool kOne>
void multiply_floats(const FewRowsProduct& a) {
  constexpr int kGroup = Stream::kGroup;
  for_packed_rows(
      a, [&](const RowBytes* rows, float* const* sums) __attribute__((always_inline)) {
        F y[kPackedRows] = {};
        for (std::int64_t k = 0; k < a.part.count; k += kGroup) {
          const auto* x =
              reinterpret_cast<const float*>(a.x) + k / kChunkWeights * a.x_rows * kChunkWeights + k % kChunkWeights;
          each<kPackedRows>([&](auto r) __attribute__((always_inline)) {
            const std::int64_t first = a.part.begin + k;
            fetch<kGroup>(rows[r].component[0] + first + a.part.ahead);
            const FloatGroup<Stream> w(rows[r], first);
            if constexpr (kOne) {
              y[r] = add(y[r], product_of_group<kGroup>(
                                   x, [&](int i, F(&two)[2]) __attribute__((always_inline)) { w.pair(i, two); }));
            } else {
              float values[kGroup];
              for (int i = 0; i < kGroup; i += 2 * kLanes) {
                F two[2];
                w.pair(i, two);
                for (int h = 0; h < 2; ++h) store_f32(values + i + h * kLanes, two[h]);
              }
              const auto load = [&](int i, F(&two)[2]) __attribute__((always_inline)) {
                for (int h = 0; h < 2; ++h) two[h] = load_f32(values + i + h * kLanes);
              };
              for (std::int64_t m = 0; m < a.x_rows; ++m) {
                float* sum = sums[r] + m * kLanes;
                store_f32(sum, add(load_f32(sum), product_of_group<kGroup>(x + m * kChunkWeights, load)));
              }
            }
          });
        }
        for (int r = 0; kOne && r < kPackedRows; ++r) store_f32(sums[r], y[r]);
      });
}

template <class Stream>
constexpr FewRowsScheme float_scheme() {
  return {kChunkWeights,
          4 * kChunkWeights,
          nullptr,
          copy_row,
          nullptr,
          multiply_floats<Stream, true>,
          multiply_floats<Stream, false>};
}
