// The arithmetic of attention, written once. Included inside a unit's unnamed namespace, after attention.h, the unit's
// floats and what it says of itself: kAcross, kFewRows, kFewColumns, larger, round, scale_by_power_of_two,
// keep_below, sums_of_four, broadcast_half, from_signed_bytes. Nothing here may have external linkage, or the linker
// could hand one unit's code to a processor that lacks its instructions.

constexpr float kInfinity = __builtin_inff();

/// eˣ for x ≤ 0, within 1e-7 of it; 0 below −110 and for −∞. x = (n + f)·ln 2, and 2ᶠ by a polynomial with the least
/// largest relative error on |f| ≤ ½ that gives 1 at 0.
inline F exp_of_negative(F x) {
  x = larger(broadcast(-110.0f), x);  // of a NaN and a number it gives the second
  const F n = round(mul(x, broadcast(0x1.715476p+0f)));
  const F f = fma(x, broadcast(0x1.715476p+0f), mul(n, broadcast(-1.0f)));
  F p = broadcast(0x1.41fbb6p-13f);
  p = fma(p, f, broadcast(0x1.5f3e56p-10f));
  p = fma(p, f, broadcast(0x1.3b2d4ep-7f));
  p = fma(p, f, broadcast(0x1.c6aee8p-5f));
  p = fma(p, f, broadcast(0x1.ebfbdcp-3f));
  p = fma(p, f, broadcast(0x1.62e430p-1f));
  p = fma(p, f, broadcast(1.0f));
  return scale_by_power_of_two(p, n);
}

/// What is subtracted from scores: the largest, but a number where no key has been seen.
inline F base_of(F largest) { return larger(broadcast(-__FLT_MAX__), largest); }

template <int kCount>
struct Count {
  static constexpr int value = kCount;
};
/// body(Count<i>) for i = 0 … kCount − 1, written out: what it indexes with them stays in registers.
template <int kCount, class Body>
[[gnu::always_inline]] inline void unrolled(Body&& body) {
  if constexpr (kCount > 0) {
    unrolled<kCount - 1>(body);
    body(Count<kCount - 1>{});
  }
}
/// visit(Count<n>, i) for strips of n of the indices [i, end): kMost at a time, then halves of that, and what is left
/// of four at once.
template <int kMost, class Visit>
inline void for_strips(std::int64_t i, std::int64_t end, Visit&& visit) {
  for (; i + kMost <= end; i += kMost) visit(Count<kMost>{}, i);
  if constexpr (kMost > 1) for_strips<(kMost > 4 ? kMost / 2 : kMost - 1)>(i, end, visit);
}

// ---- panels --------------------------------------------------------------------------------------------------------

constexpr int kPanel = 2 * kLanes;

/// Words that are floats.
struct Fp32Words {
  static constexpr int kStep = 1;
  static F multiply_add(F a, F b, F c) { return fma(a, b, c); }
  /// Scores become exp(score − largest), which `total` sums.
  static void weigh(const PanelTile& t, const F (&base)[2], F (&total)[2]) {
    for (std::int64_t j = 0; j < t.keys; ++j) {
      for (int v = 0; v < 2; ++v) {
        float* s = t.weights + j * kPanel + v * kLanes;
        const F weight = exp_of_negative(add(load_f32(s), base[v]));
        total[v] = add(total[v], weight);
        store_f32(s, weight);
      }
    }
  }
};

/// sums[r] += Σ over i < n of a[r · row_step + i · step] · b[i], b in rows of a panel.
template <class Words, int kRows>
[[gnu::always_inline]] inline void add_products(std::int64_t n, const float* a, std::int64_t row_step,
                                                std::int64_t step, const float* b, F (&sums)[kRows][2]) {
  for (std::int64_t i = 0; i < n; ++i, a += step, b += kPanel) {
    const F left = load_f32(b), right = load_f32(b + kLanes);
    for (int r = 0; r < kRows; ++r) {
      const F x = broadcast(a[r * row_step]);
      sums[r][0] = Words::multiply_add(x, left, sums[r][0]);
      sums[r][1] = Words::multiply_add(x, right, sums[r][1]);
    }
  }
}

template <class Words, int kRows>
inline void score_strip(const PanelTile& t, std::int64_t key) {
  F sums[kRows][2] = {};
  add_products<Words>(t.depth, t.k + key * t.k_stride, t.k_stride, 1, t.q, sums);
  for (int r = 0; r < kRows; ++r) {
    store_f32(t.weights + (key + r) * kPanel, sums[r][0]);
    store_f32(t.weights + (key + r) * kPanel + kLanes, sums[r][1]);
  }
}

template <class Words, int kRows>
inline void value_strip(const PanelTile& t, std::int64_t column, const F (&shrink)[2]) {
  float* out = t.out + column * kPanel;
  F sums[kRows][2];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < 2; ++v) sums[r][v] = mul(load_f32(out + r * kPanel + v * kLanes), shrink[v]);
  }
  const std::int64_t words = (t.keys + Words::kStep - 1) / Words::kStep;
  add_products<Words>(words, t.v + column, 1, t.v_stride, t.weights, sums);
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < 2; ++v) store_f32(out + r * kPanel + v * kLanes, sums[r][v]);
  }
}

/// Biases the scores, and makes −∞ of those that a query does not see.
inline void hide(const PanelTile& t) {
  for (std::int64_t j = 0; j < t.keys; ++j) {
    const F place = broadcast(static_cast<float>(j));
    for (int v = 0; v < 2; ++v) {
      const std::int64_t at = j * kPanel + v * kLanes;
      F s = load_f32(t.weights + at);
      if (t.bias) s = add(s, load_f32(t.bias + at));
      if (t.visible) s = keep_below(load_f32(t.visible + v * kLanes), place, s);
      store_f32(t.weights + at, s);
    }
  }
}

/// Scores become weights; the factor by which what is carried shrinks goes to `shrink`.
template <class Words>
inline void weigh(const PanelTile& t, F (&shrink)[2]) {
  F before[2], largest[2], base[2], total[2];
  for (int v = 0; v < 2; ++v) largest[v] = before[v] = load_f32(t.largest + v * kLanes);
  for (std::int64_t j = 0; j < t.keys; ++j) {
    for (int v = 0; v < 2; ++v) largest[v] = larger(largest[v], load_f32(t.weights + j * kPanel + v * kLanes));
  }
  for (int v = 0; v < 2; ++v) {
    base[v] = mul(base_of(largest[v]), broadcast(-1.0f));
    shrink[v] = exp_of_negative(add(before[v], base[v]));
    total[v] = mul(load_f32(t.total + v * kLanes), shrink[v]);
    store_f32(t.largest + v * kLanes, largest[v]);
  }
  Words::weigh(t, base, total);
  for (int v = 0; v < 2; ++v) store_f32(t.total + v * kLanes, total[v]);
}

template <class Words>
void attend_panel(const PanelTile& t) {
  for_strips<kAcross>(0, t.keys, [&](auto rows, std::int64_t key) { score_strip<Words, rows.value>(t, key); });
  if (t.visible || t.bias) hide(t);
  F shrink[2];
  weigh<Words>(t, shrink);
  for_strips<kAcross>(0, t.width,
                      [&](auto rows, std::int64_t column) { value_strip<Words, rows.value>(t, column, shrink); });
}

// ---- few queries ---------------------------------------------------------------------------------------------------

// A vector of numbers of a cache's row, from number i on, a multiple of kLanes.
struct F32Row {
  static constexpr std::int64_t bytes(std::int64_t n) { return 4 * n; }
  static F load(const unsigned char* row, std::int64_t i) { return load_f32(reinterpret_cast<const float*>(row) + i); }
};
struct F16Row {
  static constexpr std::int64_t bytes(std::int64_t n) { return 2 * n; }
  static F load(const unsigned char* row, std::int64_t i) {
    return load_f16(reinterpret_cast<const std::uint16_t*>(row) + i);
  }
};
struct Bf16Row {
  static constexpr std::int64_t bytes(std::int64_t n) { return 2 * n; }
  static F load(const unsigned char* row, std::int64_t i) {
    return load_bf16(reinterpret_cast<const std::uint16_t*>(row) + i);
  }
};
/// GGUF Q8_0: blocks of an f16 scale and 32 signed bytes.
struct Q8Row {
  static constexpr std::int64_t bytes(std::int64_t n) { return n / 32 * 34; }
  static F load(const unsigned char* row, std::int64_t i) {
    const unsigned char* block = row + i / 32 * 34;
    return mul(broadcast_half(block), from_signed_bytes(block + 2 + i % 32));
  }
};

/// How many rows on the cache is asked for: so far that memory has the time of it, and so near that all of it has room
/// in the first cache. (Asked into the second one, it is read a seventh slower.)
inline std::int64_t rows_ahead(std::int64_t row_bytes) { return 8192 / (row_bytes > 0 ? row_bytes : 1); }
/// Asks for the first bytes of a row. (Not inlined, gcc would drop it for having no effect.)
[[gnu::always_inline]] inline void prefetch(const unsigned char* row, std::int64_t bytes) {
  for (std::int64_t b = 0; b < bytes; b += 64) __builtin_prefetch(row + b);
}
/// Of keys, or past the last one of values, which are read after them.
[[gnu::always_inline]] inline void prefetch_key(const FewQueries& t, std::int64_t key, std::int64_t key_bytes,
                                                std::int64_t value_bytes) {
  if (key < t.keys) return prefetch(t.k.data + key * t.k.stride, key_bytes);
  if (key < 2 * t.keys) prefetch(t.v.data + (key - t.keys) * t.v.stride, value_bytes);
}

/// Asks for rows line by line, between other work, into the second cache.
class LineByLine {
 public:
  LineByLine(const CacheRows& rows, std::int64_t begin, std::int64_t end, std::int64_t bytes)
      : row_(rows.data + begin * rows.stride), stride_(rows.stride), left_(end - begin), bytes_(bytes) {}

  [[gnu::always_inline]] void ask() {
    if (left_ <= 0) return;
    __builtin_prefetch(row_ + at_, 0, 2);
    at_ += 64;
    if (at_ < bytes_) return;
    at_ = 0;
    row_ += stride_;
    --left_;
  }

 private:
  const unsigned char* row_;
  std::int64_t stride_, left_, bytes_, at_ = 0;
};

/// The scores of kRows queries with four keys.
template <class Row, int kRows>
inline void few_scores(const FewQueries& t, std::int64_t row, std::int64_t key) {
  const unsigned char* keys[4] = {t.k.data + key * t.k.stride};
  for (int j = 1; j < 4; ++j)
    keys[j] = keys[j - 1] + (key + j < t.keys ? t.k.stride : 0);  // what is past the end is hidden
  const float* q = t.q + row * t.depth;
  F sums[kRows][4] = {};
  for (std::int64_t d = 0; d < t.depth; d += kLanes) {
    F k[4];
    for (int j = 0; j < 4; ++j) k[j] = Row::load(keys[j], d);
    for (int r = 0; r < kRows; ++r) {
      const F x = load_f32(q + r * t.depth + d);
      for (int j = 0; j < 4; ++j) sums[r][j] = fma(x, k[j], sums[r][j]);
    }
  }
  float* scores = t.weights + row * t.pitch + key;
  unrolled<kRows>([&](auto r) { sums_of_four(sums[r.value], scores + r.value * t.pitch); });
}

/// The scores of a row become weights; meanwhile memory is asked for what is read next.
inline void few_weights(const FewQueries& t, std::int64_t row, LineByLine& next) {
  float* s = t.weights + row * t.pitch;
  const std::int64_t seen = t.visible[row];
  if (t.bias) {
    for (std::int64_t j = 0; j < seen; ++j) s[j] += t.bias[row * t.pitch + j];
  }
  for (std::int64_t j = seen; j < t.pitch; ++j) s[j] = -kInfinity;
  F most = broadcast(-kInfinity);
  for (std::int64_t j = 0; j < t.pitch; j += kLanes) most = larger(most, load_f32(s + j));
  float lanes[kLanes];
  store_f32(lanes, most);
  for (int half = kLanes / 2; half > 0; half /= 2) {  // one after the other they would wait for one another
    for (int l = 0; l < half; ++l) lanes[l] = lanes[l + half] > lanes[l] ? lanes[l + half] : lanes[l];
  }
  const float largest = lanes[0];
  const F base = mul(base_of(broadcast(largest)), broadcast(-1.0f));
  F total = broadcast(0);
  for (std::int64_t j = 0; j < t.pitch; j += kLanes) {
    const F weight = exp_of_negative(add(load_f32(s + j), base));
    total = add(total, weight);
    store_f32(s + j, weight);
    next.ask();
  }
  t.largest[row] = largest;
  t.total[row] = sum(total);
}

/// out += weights · values for the keys [begin, end), kRows queries and kColumns vectors of a value.
template <class Row, int kRows, int kColumns>
inline void few_values(const FewQueries& t, std::int64_t row, std::int64_t column, std::int64_t begin,
                       std::int64_t end) {
  float* out = t.out + row * t.width + column;
  const float* weights = t.weights + row * t.pitch;
  F sums[kRows][kColumns];
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kColumns; ++c) sums[r][c] = load_f32(out + r * t.width + c * kLanes);
  }
  const unsigned char* value = t.v.data + begin * t.v.stride;
  const std::int64_t ahead = rows_ahead(Row::bytes(t.width));
  for (std::int64_t j = begin; j < end; ++j, value += t.v.stride) {
    F v[kColumns];
    for (int c = 0; c < kColumns; ++c) v[c] = Row::load(value, column + c * kLanes);
    if (j + ahead < t.keys) prefetch(value + ahead * t.v.stride + Row::bytes(column), Row::bytes(kColumns * kLanes));
    for (int r = 0; r < kRows; ++r) {
      const F weight = broadcast(weights[r * t.pitch + j]);
      for (int c = 0; c < kColumns; ++c) sums[r][c] = fma(weight, v[c], sums[r][c]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kColumns; ++c) store_f32(out + r * t.width + c * kLanes, sums[r][c]);
  }
}

template <class Row>
void attend_few(const FewQueries& t) {
  const std::int64_t depth_bytes = Row::bytes(t.depth), width_bytes = Row::bytes(t.width);
  const std::int64_t ahead = rows_ahead(depth_bytes);
  for (std::int64_t key = 0; key < ahead; ++key) prefetch_key(t, key, depth_bytes, width_bytes);
  for (std::int64_t key = 0; key < t.keys; key += 4) {
    for (std::int64_t j = key; j < key + 4; ++j) prefetch_key(t, j + ahead, depth_bytes, width_bytes);
    for_strips<kFewRows>(0, t.rows, [&](auto rows, std::int64_t row) { few_scores<Row, rows.value>(t, row, key); });
  }
  LineByLine next(t.v, ahead, t.keys, width_bytes);
  for (std::int64_t row = 0; row < t.rows; ++row) few_weights(t, row, next);
  for (std::int64_t i = 0; i < t.rows * t.width; ++i) t.out[i] = 0;
  constexpr std::int64_t kSpan = 32;  // values that stay in the first-level cache for all columns and queries
  for (std::int64_t key = 0; key < t.keys; key += kSpan) {
    const std::int64_t end = key + kSpan < t.keys ? key + kSpan : t.keys;
    for_strips<kFewRows>(0, t.rows, [&](auto rows, std::int64_t row) {
      for_strips<kFewColumns>(0, t.width / kLanes, [&](auto columns, std::int64_t column) {
        few_values<Row, rows.value, columns.value>(t, row, column * kLanes, key, end);
      });
    });
  }
}

constexpr AttentionUnit attention_unit() {
  return {kLanes,
          kPanel,
          {attend_few<F32Row>, attend_few<F16Row>, attend_few<Bf16Row>, attend_few<Q8Row>},
          {1, attend_panel<Fp32Words>, nullptr, nullptr}};
}
