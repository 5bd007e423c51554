// How few-row products walk through packed rows. Included inside a unit's unnamed namespace, after its floats and
// kPackedRows, the rows that it multiplies at once.

/// Which activation of a block stands where in the packed row.
struct Order {
  std::uint8_t v[kFewBlock];
};

/// Calls body(rows, sums) for kPackedRows packed rows after the other, with what belongs to them of a.sums.
template <class Body>
[[gnu::always_inline]] inline void for_packed_rows(const FewRowsProduct& a, Body&& body) {
  RowBytes rows[2] = {a.w[0].first, a.w[1].first};
  float* sums = a.sums;
  for (std::int64_t i = 0; i < a.steps; ++i) {
    for (int first = 0; first < 2; first += kPackedRows, sums += kPackedRows * a.x_rows * kLanes) {
      body(rows + first, sums);
    }
    for (int s = 0; s < 2; ++s) {
      for (int c = 0; c < 4; ++c) rows[s].component[c] += a.w[s].pitch[c];
    }
  }
}

/// Asks for what will follow beyond the processor's own prefetching, which stops at pages; into the second cache,
/// because the first can wait for few lines at a time.
template <int kBytes>  // gcc would drop a call of it, having no effect
[[gnu::always_inline]] inline void fetch(const unsigned char* p) {
  for (int i = 0; i < kBytes; i += 64) __builtin_prefetch(p + i, 0, 2);
}

inline void reduce(const float* acc, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = sum(load_f32(acc + i * kLanes));
}
