#include "backend/cpu/products_float.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/products.h"
#include "backend/cpu/units/select.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

using namespace products_float;

constexpr std::int64_t kAcrossStep = 128;                 // outputs side by side in memory that are read together
constexpr std::int64_t kAcrossRows = 32, kDenseRows = 8;  // rows of them that are decoded in turn
constexpr std::int64_t kLeastShare = 24;                  // rows of x that are worth a thread's making panels anew
constexpr std::int64_t kMostTurned = 256;                 // rows of x; more come from farther than panels of weights
constexpr std::int64_t kFewRows = 8;                      // for so few, panels are not worth their making

void zero(float* p, std::int64_t count) { std::memset(p, 0, static_cast<std::size_t>(count) * sizeof(float)); }

/// A block of rows of x in the words of panels, fp32 or pairs of bf16, cut along the contracted axis: (chunk, row,
/// kPanelDepth).
class XBlock {
 public:
  XBlock(const Unit& unit, const Rows& rows, std::int64_t first, std::int64_t count, std::int64_t steps)
      : rows_(count),
        memory_(Scratch::need<float>(pieces(rows.x.columns, steps * kPanelDepth) * count * kPanelDepth)),
        data_(memory_.get<float>(pieces(rows.x.columns, steps * kPanelDepth) * count * kPanelDepth)) {
    const std::int64_t length = rows.x.columns, depth = steps * kPanelDepth;
    parallel_ranges(count, std::max<std::int64_t>(1, kTask / length), 1, [&](std::int64_t begin, std::int64_t end) {
      float line[2 * kPanelDepth];
      for (std::int64_t i = begin; i < end; ++i) {
        for (std::int64_t k = 0; k < length; k += depth) rows.load(unit, first + i, k, steps, at(i, k / steps), line);
      }
    });
  }
  std::int64_t rows() const { return rows_; }
  /// Rows are what threads can share; none takes fewer than a few tiles.
  std::int64_t parts() const { return rows_; }
  std::int64_t most_shares() const { return pieces(rows_, kLeastShare); }
  /// Row i from word k, a multiple of kPanelDepth; the next row is kPanelDepth further on.
  float* at(std::int64_t i, std::int64_t k) const { return data_ + k * rows_ + i * kPanelDepth; }

 private:
  std::int64_t rows_;
  Scratch memory_;
  float* data_;
};

/// Where panels come from: weights of outputs n … at words k … of the contracted axis.
class Panels : public Words {
 public:
  /// Outputs that are made at once: a multiple of a panel's columns.
  std::int64_t step() const { return step_; }
  /// The panels of outputs [n, n + step), each (kPanelDepth, columns) of which `count` rows are filled.
  virtual void fill(std::int64_t n, std::int64_t k, std::int64_t count, float* panels) const = 0;

 protected:
  Panels(const Unit& unit, std::int64_t outputs, std::int64_t depth, std::int64_t least)
      : Words(unit, outputs, depth), step_(round_up(least, unit.floats->panel_columns)) {}

 private:
  std::int64_t step_;
};

/// One output for each row of weights.
class PanelsAlong final : public Panels {
 public:
  PanelsAlong(const Unit& unit, const WeightRows& w) : Panels(unit, w.rows(), w.length(), 1), w_(w) {}
  void fill(std::int64_t n, std::int64_t k, std::int64_t count, float* panels) const override {
    w_.panel(n, k, count, panels);
  }
  std::int64_t locate(std::int64_t n, std::int64_t rows, std::int64_t k, std::int64_t count, bool,
                      const void** lines) const override {
    return w_.locate(n, rows, k, count, false, lines);
  }
  std::int64_t most_lines(std::int64_t rows, std::int64_t count) const override { return rows * w_.most_lines(count); }

 private:
  const WeightRows& w_;
};

/// One output for each place along the rows.
class PanelsAcross final : public Panels {
 public:
  PanelsAcross(const Unit& unit, const WeightRows& w)
      : Panels(unit, w.length(), w.rows(), std::max(kAcrossStep, w.cut())), w_(w) {}
  void fill(std::int64_t n, std::int64_t k, std::int64_t count, float* panels) const override {
    const std::int64_t real = std::min(step(), outputs() - n), columns = unit_.floats->panel_columns;
    alignas(64) float room[kAcrossRows * kChunk];
    const bool dense = w_.in_place() != nullptr;  // in so many lines that tiles ask for but a part of them
    const std::int64_t most = dense ? kDenseRows : kAcrossRows;
    for (std::int64_t i = 0; i < count; i += most) {
      const std::int64_t rows = std::min(most, count - i);
      for (std::int64_t r = 0; dense && r < rows; ++r) w_.fetch(k + i + r + kDenseRows, n, real);
      if (columns % w_.cut() == 0) {
        for (std::int64_t c = 0; c < real; c += columns)
          w_.decode_rows(k + i, rows, n + c, std::min(columns, real - c), columns,
                         panels + c * kPanelDepth + i * columns);
        continue;
      }
      w_.decode_rows(k + i, rows, n, real, kChunk, room);
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t c = 0; c < real; c += columns) {
          std::memcpy(panels + c * kPanelDepth + (i + r) * columns, room + r * kChunk + c,
                      static_cast<std::size_t>(columns) * sizeof(float));
        }
      }
    }
  }
  std::int64_t locate(std::int64_t n, std::int64_t rows, std::int64_t k, std::int64_t count, bool after,
                      const void** lines) const override {
    return w_.locate(k, count, n, rows, after, lines);
  }
  std::int64_t most_lines(std::int64_t rows, std::int64_t count) const override { return count * w_.most_lines(rows); }

 private:
  const WeightRows& w_;
};

/// Pairs of bf16, an even number of them along the contracted axis.
class Pairs : public Panels {
 public:
  std::int64_t steps() const override { return 2; }
  void multiply(const PanelProduct& args) const override { unit_.bf16->multiply(args); }

 protected:
  Pairs(const Unit& unit, const Matrix& w, std::int64_t outputs, std::int64_t contracted, std::int64_t least)
      : Panels(unit, outputs, contracted / 2, least), w_(w) {}
  const Matrix& w_;
};

/// A pair is a word of a row: its bits are turned as those of a float.
class PairsAlong final : public Pairs {
 public:
  PairsAlong(const Unit& unit, const Matrix& w) : Pairs(unit, w, w.rows, w.columns, 1) {}
  void fill(std::int64_t n, std::int64_t k, std::int64_t count, float* panels) const override {
    unit_.floats->turn(w_.at(n, 2 * k), Element::f32, w_.row_stride * w_.size, std::min(step(), outputs() - n), count,
                       panels);
  }
  std::int64_t locate(std::int64_t n, std::int64_t rows, std::int64_t k, std::int64_t count, bool,
                      const void** lines) const override {
    return lines_of(w_.at(n, 2 * k), 4 * count, rows, w_.row_stride * w_.size, false, lines);
  }
  std::int64_t most_lines(std::int64_t rows, std::int64_t count) const override { return rows * lines_for(4 * count); }
};

/// Rows of weights as fp32, beside panels of x.
class WeightWords final : public WordRows {
 public:
  WeightWords(const Unit& unit, const WeightRows& w) : WordRows(unit, w.rows(), w.length()), w_(w) {}
  void fill(std::int64_t n, std::int64_t rows, std::int64_t k, std::int64_t count, float* out) const override {
    w_.decode_rows(n, rows, k, count, kPanelDepth, out);
  }
  std::int64_t locate(std::int64_t n, std::int64_t rows, std::int64_t k, std::int64_t count, bool,
                      const void** lines) const override {
    return w_.locate(n, rows, k, count, false, lines);
  }
  std::int64_t most_lines(std::int64_t rows, std::int64_t count) const override { return rows * w_.most_lines(count); }

 private:
  const WeightRows& w_;
};

/// Pairs as they lie in memory.
class PairWords final : public WordRows {
 public:
  PairWords(const Unit& unit, const Matrix& w) : WordRows(unit, w.rows, w.columns / 2), w_(w) {}
  std::int64_t steps() const override { return 2; }
  void multiply(const PanelProduct& args) const override { unit_.bf16->multiply(args); }
  void fill(std::int64_t n, std::int64_t rows, std::int64_t k, std::int64_t count, float* out) const override {
    for (std::int64_t i = 0; i < rows; ++i)
      unit_.load(w_.at(n + i, 2 * k), Element::f32, 1, count, out + i * kPanelDepth);
  }
  std::int64_t locate(std::int64_t n, std::int64_t rows, std::int64_t k, std::int64_t count, bool,
                      const void** lines) const override {
    return lines_of(w_.at(n, 2 * k), 4 * count, rows, w_.row_stride * w_.size, false, lines);
  }
  std::int64_t most_lines(std::int64_t rows, std::int64_t count) const override { return rows * lines_for(4 * count); }

 private:
  const Matrix& w_;
};

/// The bits of element i of a line at any address.
inline std::uint16_t half_at(const std::byte* line, std::int64_t i) {
  std::uint16_t bits;
  std::memcpy(&bits, line + 2 * i, sizeof bits);
  return bits;
}

/// A pair comes from two rows.
class PairsAcross final : public Pairs {
 public:
  PairsAcross(const Unit& unit, const Matrix& w) : Pairs(unit, w, w.columns, w.rows, kAcrossStep) {}
  void fill(std::int64_t n, std::int64_t k, std::int64_t count, float* panels) const override {
    const std::int64_t real = std::min(step(), outputs() - n), columns = unit_.floats->panel_columns;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::byte* even = w_.at(2 * (k + i), n);
      const std::byte* odd = w_.at(2 * (k + i) + 1, n);
      for (const std::int64_t ahead : {kDenseRows, kDenseRows + 1}) w_.fetch(2 * (k + i) + ahead, n, real);
      for (std::int64_t c = 0; c < real; c += columns) {
        auto* words = reinterpret_cast<std::uint32_t*>(panels + c * kPanelDepth + i * columns);
        const std::int64_t here = std::min(columns, real - c);
        for (std::int64_t j = 0; j < here; ++j)
          words[j] = half_at(even, c + j) | static_cast<std::uint32_t>(half_at(odd, c + j)) << 16;
      }
    }
  }
  std::int64_t locate(std::int64_t n, std::int64_t rows, std::int64_t k, std::int64_t count, bool after,
                      const void** lines) const override {
    return lines_of(w_.at(2 * k, n), 2 * rows, 2 * count, w_.row_stride * w_.size, after, lines);
  }
  std::int64_t most_lines(std::int64_t rows, std::int64_t count) const override {
    return 2 * count * lines_for(2 * rows);
  }
};

/// Outputs of some rows of a block of x, summed over a part of the contracted axis that begins at a panel.
class Slab {
 public:
  using X = XBlock;
  static std::int64_t step(const Unit&, const Panels& panels) { return panels.step(); }
  Slab(const Unit& unit, const Panels& panels, const XBlock& x, Range rows, Range depth)
      : floats_(*unit.floats),
        panels_(panels),
        x_(x),
        first_(rows.begin),
        rows_(rows.end - rows.begin),
        depth_(depth) {}

  template <class Store>
  void run(std::int64_t begin, std::int64_t end, Store&& store) const {
    const std::int64_t step = panels_.step(), width = round_up(end - begin, step);
    const std::int64_t most_lines = panels_.most_lines(step, kPanelDepth);
    Scratch scratch(Scratch::need<float>(step * kPanelDepth) + Scratch::need<float>(rows_ * width) +
                    Scratch::need<const void*>(most_lines));
    float* panels = scratch.get<float>(step * kPanelDepth);
    float* acc = scratch.get<float>(rows_ * width);
    const void** lines = scratch.get<const void*>(most_lines);
    zero(acc, rows_ * width);
    for (const void* line : locate(begin, depth_.begin, false, lines)) __builtin_prefetch(line, 0, 2);
    for (std::int64_t k = depth_.begin; k < depth_.end; k += kPanelDepth) {
      for (std::int64_t n = begin; n < end; n += step) {
        panels_.fill(n, k, std::min(kPanelDepth, depth_.end - k), panels);
        const Ahead ahead =
            n + step < end ? locate(n + step, k, true, lines) : locate(begin, k + kPanelDepth, false, lines);
        const std::int64_t here = pieces(std::min(step, end - n), floats_.panel_columns);
        for (std::int64_t i = 0; i < here; ++i) {
          const std::int64_t c = i * floats_.panel_columns;
          multiply(k, panels + c * kPanelDepth, acc + (n + c - begin), width, piece(ahead, i, here));
        }
      }
    }
    for (std::int64_t i = 0; i < rows_; ++i) store(first_ + i, begin, end - begin, acc + i * width);
  }

 private:
  /// The lines that panels of outputs from n on are filled from, from k on, where there are such; as Words
  /// has it.
  Ahead locate(std::int64_t n, std::int64_t k, bool after, const void** lines) const {
    if (k >= depth_.end) return {};
    const std::int64_t outputs = std::min(panels_.step(), panels_.outputs() - n),
                       count = std::min(kPanelDepth, depth_.end - k);
    return {lines, static_cast<std::size_t>(panels_.locate(n, outputs, k, count, after, lines))};
  }
  /// All rows with one panel, in tiles of about as many rows each.
  void multiply(std::int64_t k, const float* panel, float* acc, std::int64_t width, Ahead ahead) const {
    const std::int64_t count = std::min(kPanelDepth, depth_.end - k), tiles = pieces(rows_, floats_.panel_rows);
    for (std::int64_t t = 0; t < tiles; ++t) {
      const std::int64_t row = share(rows_, t, tiles), end = share(rows_, t + 1, tiles);
      Ahead own = piece(ahead, t, tiles);
      if (std::ssize(own) > count) own = {};  // so many are asked for as panels are filled
      panels_.multiply({.x = x_.at(first_ + row, k),
                        .panel = panel,
                        .columns = floats_.panel_columns,
                        .k = count,
                        .rows = end - row,
                        .acc = acc + row * width,
                        .acc_pitch = width,
                        .ahead = own.data(),
                        .ahead_count = std::ssize(own)});
    }
  }

  const FloatProducts& floats_;
  const Panels& panels_;
  const XBlock& x_;
  std::int64_t first_, rows_;
  Range depth_;
};

/// The weights of a product of bf16 with bf16 whose unit takes them in pairs; else null.
const Matrix* pairs_of(const Unit& unit, const Matrix& x, const WeightRows& w) {
  const Matrix* matrix = w.in_place();
  const bool suits = matrix != nullptr && matrix->element == Element::bf16 && x.element == Element::bf16 &&
                     x.columns % 2 == 0 && bf16_of(unit) != nullptr;
  return suits ? matrix : nullptr;
}

/// Whether rows of x take the lanes, some of them empty. Making panels of weights costs more the fewer rows use them;
/// many rows of x pass by panels of weights from nearer caches.
bool suits_turning(const Unit& unit, std::int64_t rows, const WeightRows& w) {
  const std::int64_t empty = round_up(rows, unit.lanes) - rows;
  return rows > kFewRows && rows <= kMostTurned && empty <= unit.lanes / (w.in_place() != nullptr ? 2 : 4);
}

}  // namespace

void multiply_along(const Unit& unit, const Matrix& x, const WeightRows& w, const Output& y, bool deterministic,
                    std::span<const std::int64_t> only) {
  if (x.rows <= kFewRows && !deterministic && only.empty()) return multiply_along_few(unit, x, w, y);
  const Rows rows{x, y, only};
  const Matrix* pairs = pairs_of(unit, x, w);
  if (suits_turning(unit, rows.count(), w)) {
    return pairs != nullptr ? multiply_turned(unit, rows, PairWords(unit, *pairs))
                            : multiply_turned(unit, rows, WeightWords(unit, w));
  }
  if (pairs != nullptr) return multiply_blocks<Slab>(unit, rows, PairsAlong(unit, *pairs));
  multiply_blocks<Slab>(unit, rows, PanelsAlong(unit, w));
}

void multiply_across(const Unit& unit, const Matrix& x, const WeightRows& w, const Output& y, bool deterministic) {
  if (x.rows <= kFewRows && !deterministic) return multiply_across_few(unit, x, w, y);
  if (const Matrix* pairs = pairs_of(unit, x, w))
    return multiply_blocks<Slab>(unit, {x, y, {}}, PairsAcross(unit, *pairs));
  multiply_blocks<Slab>(unit, {x, y, {}}, PanelsAcross(unit, w));
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
