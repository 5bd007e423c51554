// How few-row products walk through packed rows. Included inside a unit's unnamed namespace, after its floats and
// kPackedRows, the rows that it multiplies at once.

/// Which activation of a block stands where in the packed row.
struct Order {
  std::uint8_t v[kFewBlock];
};

/// Calls body(rows, sums) for kTogether packed rows after the other, with where the sums of each belong.
template <int kTogether = kPackedRows, class Body>
[[gnu::always_inline]] inline void for_packed_rows(const FewRowsProduct& a, Body&& body) {
  constexpr int kRuns = kTogether < 2 ? 2 : kTogether;
  RowBytes rows[kRuns];
  float* sums[kRuns];
  for (int s = 0; s < kRuns; ++s) {
    rows[s] = a.w[s].first;
    sums[s] = a.sums[s];
  }
  for (std::int64_t i = 0; i < a.steps; ++i) {
    for (int first = 0; first < kRuns; first += kTogether) body(rows + first, sums + first);
    for (int s = 0; s < kRuns; ++s) {
      sums[s] += a.joined * a.x_rows * kLanes;
      for (int c = 0; c < 4; ++c) rows[s].component[c] += a.w[s].pitch[c];
    }
  }
}

/// Asks for what will follow beyond the processor's own prefetching, which stops at pages; into the second cache, where
/// another row is read before it.
template <int kBytes>  // gcc would drop a call of it, having no effect
[[gnu::always_inline]] inline void fetch(const unsigned char* p) {
  for (int i = 0; i < kBytes; i += 64) __builtin_prefetch(p + i, 0, kPackedRows == 1 ? 2 : 3);
}

/// Every vector's lanes add up in one order, wherever among the n it stands.
inline void reduce(const float* acc, std::int64_t pitch, std::int64_t n, float* out) {
  for (; n >= 4; n -= 4, acc += 4 * pitch, out += 4) {
    sums_of_four({load_f32(acc), load_f32(acc + pitch), load_f32(acc + 2 * pitch), load_f32(acc + 3 * pitch)}, out);
  }
  if (n == 0) return;
  F last[4] = {};
  float sums[4];
  for (std::int64_t i = 0; i < n; ++i) last[i] = load_f32(acc + i * pitch);
  sums_of_four(last, sums);
  for (std::int64_t i = 0; i < n; ++i) out[i] = sums[i];
}
