// The arithmetic of attention, written once. Included inside a unit's unnamed namespace, after attention.h and math.h
// and the unit's own kStripRows, kVec, Vec and multiply_add. Nothing here may have external linkage, or the linker
// could hand one unit's code to a processor that lacks its instructions.

inline void load(const float* p, Vec& out) { __builtin_memcpy(&out, p, sizeof out); }
inline void save(const Vec& x, float* p) { __builtin_memcpy(p, &x, sizeof x); }

/// c (rows, n) += a (rows, depth) · b (depth, n) for `rows` rows and two vectors of columns, kept in registers.
template <int rows>
void multiply_strip(std::int64_t depth, const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float* c,
                    std::int64_t ldc) {
  Vec sum[rows][2];
  for (int r = 0; r < rows; ++r) {
    load(c + r * ldc, sum[r][0]);
    load(c + r * ldc + kVec, sum[r][1]);
  }
  for (std::int64_t d = 0; d < depth; ++d) {
    Vec left, right;
    load(b + d * ldb, left);
    load(b + d * ldb + kVec, right);
    for (int r = 0; r < rows; ++r) {
      const Vec x = a[r * lda + d] - Vec{};  // in every lane
      multiply_add(x, left, sum[r][0]);
      multiply_add(x, right, sum[r][1]);
    }
  }
  for (int r = 0; r < rows; ++r) {
    save(sum[r][0], c + r * ldc);
    save(sum[r][1], c + r * ldc + kVec);
  }
}

constexpr std::int64_t kColumns = 2 * kVec;
static_assert(kTileKeys % kColumns == 0);

/// c (rows, n) += a (rows, depth) · b (depth, n), all row-major, for as many columns as fill vectors.
void multiply(std::int64_t rows, std::int64_t n, std::int64_t depth, const float* a, std::int64_t lda, const float* b,
              std::int64_t ldb, float* c, std::int64_t ldc) {
  for (std::int64_t j = 0; j + kColumns <= n; j += kColumns) {
    std::int64_t r = 0;
    for (; r + kStripRows <= rows; r += kStripRows) {
      multiply_strip<kStripRows>(depth, a + r * lda, lda, b + j, ldb, c + r * ldc + j, ldc);
    }
    for (; r < rows; ++r) multiply_strip<1>(depth, a + r * lda, lda, b + j, ldb, c + r * ldc + j, ldc);
  }
}

/// The columns of a product that `multiply` leaves.
void multiply_rest(std::int64_t rows, std::int64_t n, std::int64_t depth, const float* a, std::int64_t lda,
                   const float* b, std::int64_t ldb, float* c, std::int64_t ldc) {
  for (std::int64_t j = n / kColumns * kColumns; j < n; ++j) {
    for (std::int64_t r = 0; r < rows; ++r) {
      float sum = c[r * ldc + j];
      for (std::int64_t d = 0; d < depth; ++d) sum += a[r * lda + d] * b[d * ldb + j];
      c[r * ldc + j] = sum;
    }
  }
}

float dot(const float* a, const float* b, std::int64_t n) {
  Vec sums[2] = {};
  std::int64_t i = 0;
  for (; i + 2 * kVec <= n; i += 2 * kVec) {
    for (int s = 0; s < 2; ++s) {
      Vec x, y;
      load(a + i + s * kVec, x);
      load(b + i + s * kVec, y);
      multiply_add(x, y, sums[s]);
    }
  }
  sums[0] += sums[1];
  float sum = 0;
  for (int l = 0; l < kVec; ++l) sum += sums[0][l];
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

/// scores = q kᵀ. Few rows take dot products with the keys as they lie; many make it worth turning the keys first.
void score(const AttentionTile& t) {
  if (t.rows < 8 && !t.deterministic) {
    for (std::int64_t j = 0; j < t.keys; ++j) {
      for (std::int64_t r = 0; r < t.rows; ++r) {
        t.scores[r * kTileKeys + j] = dot(t.q + r * t.depth, t.k + j * t.k_stride, t.depth);
      }
    }
    return;
  }
  // A whole tile of columns always: then each is summed in the same way however many keys there are.
  for (std::int64_t j = 0; j < kTileKeys; ++j) {
    for (std::int64_t d = 0; d < t.depth; ++d) {
      t.turned_k[d * kTileKeys + j] = j < t.keys ? t.k[j * t.k_stride + d] : 0.0f;
    }
  }
  for (std::int64_t i = 0; i < t.rows * kTileKeys; ++i) t.scores[i] = 0;
  multiply(t.rows, kTileKeys, t.depth, t.q, t.depth, t.turned_k, kTileKeys, t.scores, kTileKeys);
}

/// The largest of a row's scores; a NaN wins.
float largest_of(const float* s, float before) {
  constexpr std::int64_t kLanes = 16;
  const auto wins = [](float a, float b) { return (a > b) | (a != a); };
  float lanes[kLanes];
  for (float& lane : lanes) lane = before;
  for (std::int64_t j = 0; j < kTileKeys; j += kLanes) {
    for (std::int64_t l = 0; l < kLanes; ++l) lanes[l] = wins(s[j + l], lanes[l]) ? s[j + l] : lanes[l];
  }
  float best = before;
  for (const float lane : lanes) best = wins(lane, best) ? lane : best;
  return best;
}

double sum_of(const float* s) {
  constexpr std::int64_t kLanes = 8;
  double lanes[kLanes] = {};
  for (std::int64_t j = 0; j < kTileKeys; j += kLanes) {
    for (std::int64_t l = 0; l < kLanes; ++l) lanes[l] += static_cast<double>(s[j + l]);
  }
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

/// Turns a row's scores into exp(score − largest), 0 for keys that it does not see, after bringing what it carries to
/// the new largest. Loops run over the whole tile: what is unseen scores −∞.
void weigh(const AttentionTile& t, std::int64_t r) {
  constexpr float kInfinity = __builtin_inff();
  float* s = t.scores + r * kTileKeys;
  const std::int64_t seen = t.visible[r];
  if (t.bias) {
    for (std::int64_t j = 0; j < seen; ++j) s[j] += t.bias[r * kTileKeys + j];
  }
  for (std::int64_t j = seen; j < kTileKeys; ++j) s[j] = -kInfinity;
  const float largest = largest_of(s, t.largest[r]);
  if (largest == -kInfinity) {
    for (std::int64_t j = 0; j < kTileKeys; ++j) s[j] = 0;
    return;
  }
  if (largest != t.largest[r]) {
    const float shrink = exp_f32(t.largest[r] - largest);
    for (std::int64_t c = 0; c < t.width; ++c) t.out[r * t.width + c] *= shrink;
    t.total[r] *= static_cast<double>(shrink);
    t.largest[r] = largest;
  }
  for (std::int64_t j = 0; j < kTileKeys; ++j) s[j] = exp_f32(s[j] - largest);
  t.total[r] += sum_of(s);
}

void attend(const AttentionTile& t) {
  score(t);
  for (std::int64_t r = 0; r < t.rows; ++r) weigh(t, r);
  multiply(t.rows, t.width, t.keys, t.scores, kTileKeys, t.v, t.v_stride, t.out, t.width);
  multiply_rest(t.rows, t.width, t.keys, t.scores, kTileKeys, t.v, t.v_stride, t.out, t.width);
}
