// PanelProduct, written once for fp32 and for pairs of bf16. Included inside a unit's unnamed namespace, after its
// vectors and
//   kPanelVectors, kPanelRows: the tile of sums that registers hold; multiply_add of words of 32 bits.

constexpr std::int64_t kPanelColumns = kPanelVectors * kLanes;

template <int kVectors, int kRows>
void multiply_rows(const PanelProduct& a) {
  F sums[kRows][kVectors];
  for (int m = 0; m < kRows; ++m)
    for (int v = 0; v < kVectors; ++v) {
      sums[m][v] = broadcast(0.f);
      __builtin_prefetch(a.acc + m * a.acc_pitch + v * kLanes, 1);
    }
  const float* x = a.x;
  const float* panel = a.panel;
  const float* next = a.x + kRows * kPanelDepth;  // the rows that come next
  for (std::int64_t k = 0; k < a.k; ++k, ++x, panel += kVectors * kLanes) {
    F ws[kVectors];
    for (int v = 0; v < kVectors; ++v) ws[v] = load_f32(panel + v * kLanes);
    if (k < a.ahead_count) {
      __builtin_prefetch(a.ahead[k], 0, 2);  // into the second cache: the first has no room for more
    } else {
      __builtin_prefetch(next + k * kRows);
    }
    for (int m = 0; m < kRows; ++m) {
      const F xs = broadcast(x[m * kPanelDepth]);
      for (int v = 0; v < kVectors; ++v) sums[m][v] = multiply_add(xs, ws[v], sums[m][v]);
    }
  }
  for (int m = 0; m < kRows; ++m)
    for (int v = 0; v < kVectors; ++v) {
      float* acc = a.acc + m * a.acc_pitch + v * kLanes;
      store_f32(acc, add(load_f32(acc), sums[m][v]));
    }
}

/// The tile of exactly as many rows as there are.
template <int kVectors, int kRows>
void multiply_at_most(const PanelProduct& a) {
  if constexpr (kRows > 1) {
    if (a.rows < kRows) return multiply_at_most<kVectors, kRows - 1>(a);
  }
  multiply_rows<kVectors, kRows>(a);
}

template <int kVectors>
void multiply_panel_of(const PanelProduct& a) {
  if constexpr (kVectors > 1) {
    if (a.columns < kVectors * kLanes) return multiply_panel_of<kVectors - 1>(a);
  }
  multiply_at_most<kVectors, rows_beside(kPanelVectors * kPanelRows, kVectors)>(a);
}
void multiply_panel(const PanelProduct& a) { multiply_panel_of<kPanelVectors>(a); }
