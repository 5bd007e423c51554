// Products in floating point, written once. Included inside a unit's unnamed namespace, after elements.inl.h and
//   kPanelVectors, kPanelRows, kFewRows: rows of x whose sums registers hold,
//   sum (of lanes), words_of, floats_of, transpose_words (kLanes vectors in place), byte<i> (byte i of each 32-bit lane
//   as a float).

inline F multiply_add(F a, F b, F c) { return fma(a, b, c); }

inline void transpose(F (&r)[kLanes]) {
  WordVector words[kLanes];
  for (int i = 0; i < kLanes; ++i) words[i] = words_of(r[i]);
  transpose_words(words);
  for (int i = 0; i < kLanes; ++i) r[i] = floats_of(words[i]);
}

#include "backend/cpu/units/panel_product.inl.h"

/// `count` ≤ kLanes weights, the rest zeros.
template <class T>
F load_some(const void* p, std::int64_t count) {
  if (count >= kLanes) return T::load(p);
  typename T::Word some[kLanes] = {};
  __builtin_memcpy(some, p, static_cast<unsigned long>(count) * sizeof(typename T::Word));
  return T::load(some);
}

template <class T>
void turn_as(const void* w, std::int64_t pitch, std::int64_t rows, std::int64_t count, float* panel) {
  for (int v = 0; v < kPanelVectors; ++v, panel += kLanes) {
    const unsigned char* in[kLanes];
    for (int i = 0; i < kLanes; ++i) {
      const std::int64_t row = v * kLanes + i < rows ? v * kLanes + i : rows - 1;
      in[i] = static_cast<const unsigned char*>(w) + row * pitch;
    }
    for (std::int64_t k = 0; k < count; k += kLanes) {
      const std::int64_t few = count - k < kLanes ? count - k : kLanes;
      F r[kLanes];
      for (int i = 0; i < kLanes; ++i) r[i] = load_some<T>(at<T>(in[i], k), few);
      transpose(r);
      for (std::int64_t j = 0; j < few; ++j) store_f32(panel + (k + j) * kPanelColumns, r[j]);
    }
  }
}
void turn(const void* w, Element element, std::int64_t pitch, std::int64_t rows, std::int64_t count, float* panel) {
  constexpr void (*table[])(const void*, std::int64_t, std::int64_t, std::int64_t, float*) = {
      turn_as<Single>, turn_as<Half>, turn_as<Bfloat>};
  table[static_cast<int>(element)](w, pitch, rows, count, panel);
}

/// scale · code + shift, or scale · (code + shift).
template <bool kHasZero>
inline F value_of(F code, F scale, F shift) {
  return kHasZero ? mul(scale, add(code, shift)) : add(mul(scale, code), shift);
}
template <bool kHasZero, int i>
void expand_byte(F word, F scale, F shift, float* panel) {
  store_f32(panel + i * kPanelColumns, value_of<kHasZero>(byte<i>(word), scale, shift));
}

/// Four neighbouring codes of a row are a 32-bit word: words are transposed, then each code expands in its lane.
template <bool kHasZero>
void expand_panel(const PanelCodes& a) {
  const F minus_zero = broadcast(-static_cast<float>(a.zero));
  constexpr std::int64_t kBlock = 4 * kLanes;
  const std::int64_t run = a.group < kBlock ? a.group : kBlock;
  for (int v = 0; v < kPanelVectors; ++v) {
    const std::uint8_t* codes = a.codes + v * kLanes * kPanelDepth;
    float* panel = a.panel + v * kLanes;
    for (std::int64_t first = 0; first < a.count; first += kBlock) {
      F words[kLanes];
      for (int i = 0; i < kLanes; ++i)
        words[i] = load_f32(reinterpret_cast<const float*>(codes + i * kPanelDepth + first));
      transpose(words);
      const std::int64_t end = a.count - first < kBlock ? a.count : first + kBlock;
      for (std::int64_t k = first; k < end; k += run) {
        const std::int64_t group = k / a.group * kPanelColumns + v * kLanes;
        const F scale = load_f32(a.scales + group), shift = kHasZero ? minus_zero : load_f32(a.biases + group);
        for (std::int64_t j = k; j < k + run; j += 4) {
          const F word = words[(j - first) / 4];
          expand_byte<kHasZero, 0>(word, scale, shift, panel + j * kPanelColumns);
          expand_byte<kHasZero, 1>(word, scale, shift, panel + j * kPanelColumns);
          expand_byte<kHasZero, 2>(word, scale, shift, panel + j * kPanelColumns);
          expand_byte<kHasZero, 3>(word, scale, shift, panel + j * kPanelColumns);
        }
      }
    }
  }
}
void expand(const PanelCodes& a) { a.zero != 0 ? expand_panel<true>(a) : expand_panel<false>(a); }

// ---- few rows of x -------------------------------------------------------------------------------------------------

constexpr int kDotColumns = 4;       // rows of w at once, each a stream of memory and a chain of sums
constexpr int kAccumulatedRows = 4;  // rows of w added at once
/// Weights after which lanes are added to a total: of terms of one sign, a long chain loses far more than two short
/// ones.
constexpr std::int64_t kDotRun = 64 * kLanes;

inline const unsigned char* row_of(const RowProduct& a, std::int64_t n) {
  return static_cast<const unsigned char*>(a.w) + n * a.w_pitch;
}

template <class T, int kRows, int kColumns>
void dot_tile(const RowProduct& a, std::int64_t first) {
  const unsigned char* w[kColumns];
  for (int n = 0; n < kColumns; ++n) w[n] = row_of(a, first + n);
  F totals[kRows][kColumns] = {};
  for (std::int64_t k = 0; k < a.length;) {
    F sums[kRows][kColumns];
    for (int m = 0; m < kRows; ++m)
      for (int n = 0; n < kColumns; ++n) sums[m][n] = broadcast(0.f);
    const std::int64_t end = a.length - k < kDotRun ? a.length : k + kDotRun;
    for (; k + kLanes <= end; k += kLanes) {
      F ws[kColumns];
      for (int n = 0; n < kColumns; ++n) ws[n] = T::load(at<T>(w[n], k));
      for (int m = 0; m < kRows; ++m) {
        const F xs = load_f32(a.x + m * a.x_pitch + k);
        for (int n = 0; n < kColumns; ++n) sums[m][n] = fma(xs, ws[n], sums[m][n]);
      }
    }
    for (int m = 0; k < end && m < kRows; ++m) {
      const F xs = load_some<Single>(a.x + m * a.x_pitch + k, end - k);
      for (int n = 0; n < kColumns; ++n) sums[m][n] = fma(xs, load_some<T>(at<T>(w[n], k), end - k), sums[m][n]);
    }
    k = end;
    for (int m = 0; m < kRows; ++m)
      for (int n = 0; n < kColumns; ++n) totals[m][n] = add(totals[m][n], sums[m][n]);
  }
  for (int m = 0; m < kRows; ++m)
    for (int n = 0; n < kColumns; ++n) a.y[m * a.y_pitch + first + n] += sum(totals[m][n]);
}
struct Dot {
  template <class T, int kRows>
  static void run(const RowProduct& a) {
    std::int64_t n = 0;
    for (; n + kDotColumns <= a.w_rows; n += kDotColumns) dot_tile<T, kRows, kDotColumns>(a, n);
    for (; n < a.w_rows; ++n) dot_tile<T, kRows, 1>(a, n);
  }
};

/// Codes [begin, end).
template <bool kHasZero, int kRows, int kColumns>
void dot_codes_run(const CodeProduct& a, std::int64_t first, std::int64_t begin, std::int64_t end) {
  F sums[kRows][kColumns];
  for (int m = 0; m < kRows; ++m)
    for (int n = 0; n < kColumns; ++n) sums[m][n] = broadcast(0.f);
  std::int64_t group = begin / a.group;
  for (std::int64_t k = begin; k < end; ++group) {
    F scale[kColumns], shift[kColumns];
    for (int n = 0; n < kColumns; ++n) {
      const std::int64_t at = (first + n) * kCodeGroups + group;
      scale[n] = broadcast(a.scales[at]);
      shift[n] = broadcast(kHasZero ? -static_cast<float>(a.zero) : a.biases[at]);
    }
    for (const std::int64_t last = end - k < a.group ? end : k + a.group; k < last; k += kLanes) {
      F xs[kRows];
      for (int m = 0; m < kRows; ++m) xs[m] = load_f32(a.x + m * a.x_pitch + k);
      for (int n = 0; n < kColumns; ++n) {
        const F w = value_of<kHasZero>(from_bytes(a.codes + (first + n) * kCodeDepth + k), scale[n], shift[n]);
        for (int m = 0; m < kRows; ++m) sums[m][n] = fma(xs[m], w, sums[m][n]);
      }
    }
  }
  for (int m = 0; m < kRows; ++m)
    for (int n = 0; n < kColumns; ++n) a.y[m * a.y_pitch + first + n] += sum(sums[m][n]);
}
template <bool kHasZero, int kRows, int kColumns>
void dot_codes_tile(const CodeProduct& a, std::int64_t first) {
  static_assert(kDotRun % 256 == 0, "a run ends where a group does");
  for (std::int64_t k = 0; k < a.count; k += kDotRun)
    dot_codes_run<kHasZero, kRows, kColumns>(a, first, k, a.count - k < kDotRun ? a.count : k + kDotRun);
}
template <bool kHasZero, int kRows>
void dot_codes_of(const CodeProduct& a) {
  if constexpr (kRows > 1) {
    if (a.rows < kRows) return dot_codes_of<kHasZero, kRows - 1>(a);
  }
  std::int64_t n = 0;
  for (; n + kDotColumns <= a.w_rows; n += kDotColumns) dot_codes_tile<kHasZero, kRows, kDotColumns>(a, n);
  for (; n < a.w_rows; ++n) dot_codes_tile<kHasZero, kRows, 1>(a, n);
}
void dot_codes(const CodeProduct& a) {
  a.zero != 0 ? dot_codes_of<true, kFewRows>(a) : dot_codes_of<false, kFewRows>(a);
}

template <class T, int kRows, int kCount>
void accumulate_tile(const RowProduct& a, std::int64_t first) {
  const unsigned char* w[kCount];
  F xs[kRows][kCount];
  for (int n = 0; n < kCount; ++n) {
    w[n] = row_of(a, first + n);
    for (int m = 0; m < kRows; ++m) xs[m][n] = broadcast(a.x[m * a.x_pitch + first + n]);
  }
  std::int64_t k = 0;
  for (; k + kLanes <= a.length; k += kLanes) {
    F ws[kCount];
    for (int n = 0; n < kCount; ++n) ws[n] = T::load(at<T>(w[n], k));
    for (int m = 0; m < kRows; ++m) {
      float* y = a.y + m * a.y_pitch + k;
      F total = load_f32(y);
      for (int n = 0; n < kCount; ++n) total = fma(xs[m][n], ws[n], total);
      store_f32(y, total);
    }
  }
  for (int m = 0; m < kRows && k < a.length; ++m) {
    float* y = a.y + m * a.y_pitch + k;
    F total = load_some<Single>(y, a.length - k);
    for (int n = 0; n < kCount; ++n) total = fma(xs[m][n], load_some<T>(at<T>(w[n], k), a.length - k), total);
    float some[kLanes];
    store_f32(some, total);
    for (std::int64_t i = 0; i < a.length - k; ++i) y[i] = some[i];
  }
}
struct Accumulate {
  template <class T, int kRows>
  static void run(const RowProduct& a) {
    std::int64_t n = 0;
    for (; n + kAccumulatedRows <= a.w_rows; n += kAccumulatedRows) accumulate_tile<T, kRows, kAccumulatedRows>(a, n);
    for (; n < a.w_rows; ++n) accumulate_tile<T, kRows, 1>(a, n);
  }
};

template <class Product, class T, int kRows>
void run_at_most(const RowProduct& a) {
  if constexpr (kRows > 1) {
    if (a.rows < kRows) return run_at_most<Product, T, kRows - 1>(a);
  }
  Product::template run<T, kRows>(a);
}
template <class Product>
void row_product(const RowProduct& a) {
  constexpr void (*table[])(const RowProduct&) = {run_at_most<Product, Single, kFewRows>,
                                                  run_at_most<Product, Half, kFewRows>,
                                                  run_at_most<Product, Bfloat, kFewRows>};
  table[static_cast<int>(a.element)](a);
}

constexpr FloatProducts float_products() {
  return {kPanelColumns,    kPanelRows, multiply_panel,         turn, expand, kFewRows,
          row_product<Dot>, dot_codes,  row_product<Accumulate>};
}
