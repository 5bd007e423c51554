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

constexpr std::int64_t kAcrossStep = 128;  // outputs side by side in memory that are read together
constexpr std::int64_t kAhead = 8;  // rows asked for before they are read, in runs too short for processors to foresee
constexpr std::int64_t kLeastShare = 24;   // rows of x that are worth a thread's making panels anew
constexpr std::int64_t kMostTurned = 256;  // rows of x; more come from farther than panels of weights
constexpr std::int64_t kFewRows = 8;       // for so few, panels are not worth their making

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
  /// The memory that words [k, k + count) of output n come from; empty where they do not lie side by side.
  virtual std::span<const std::byte> source(std::int64_t, std::int64_t, std::int64_t) const { return {}; }

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
  std::span<const std::byte> source(std::int64_t n, std::int64_t k, std::int64_t count) const override {
    return w_.source(n, k, count);
  }

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
    float line[kChunk] = {};
    for (std::int64_t i = 0; i < count; ++i) {
      w_.fetch(k + i + kAhead, n, real);
      w_.values(k + i, n, real, line);
      for (std::int64_t c = 0; c < real; c += columns) {
        std::memcpy(panels + c * kPanelDepth + i * columns, line + c,
                    static_cast<std::size_t>(columns) * sizeof(float));
      }
    }
  }

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
  std::span<const std::byte> source(std::int64_t n, std::int64_t k, std::int64_t count) const override {
    return w_.span(n, 2 * k, 2 * count);
  }
};

/// Rows of weights as fp32, beside panels of x.
class WeightWords final : public WordRows {
 public:
  WeightWords(const Unit& unit, const WeightRows& w) : WordRows(unit, w.rows(), w.length()), w_(w) {}
  void fill(std::int64_t n, std::int64_t rows, std::int64_t k, std::int64_t count, float* out) const override {
    w_.decode_rows(n, rows, k, count, kPanelDepth, out);
  }
  std::int64_t locate(std::int64_t n, std::int64_t rows, std::int64_t k, std::int64_t count,
                      const void** lines) const override {
    return w_.locate(n, rows, k, count, lines);
  }
  std::int64_t most_lines(std::int64_t count) const override { return w_.most_lines(count); }

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
  std::int64_t locate(std::int64_t n, std::int64_t rows, std::int64_t k, std::int64_t count,
                      const void** lines) const override {
    return lines_of(w_.at(n, 2 * k), 4 * count, rows, w_.row_stride * w_.size, lines);
  }
  std::int64_t most_lines(std::int64_t count) const override { return lines_for(4 * count); }

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
      for (const std::int64_t ahead : {kAhead, kAhead + 1}) w_.fetch(2 * (k + i) + ahead, n, real);
      for (std::int64_t c = 0; c < real; c += columns) {
        auto* words = reinterpret_cast<std::uint32_t*>(panels + c * kPanelDepth + i * columns);
        const std::int64_t here = std::min(columns, real - c);
        for (std::int64_t j = 0; j < here; ++j)
          words[j] = half_at(even, c + j) | static_cast<std::uint32_t>(half_at(odd, c + j)) << 16;
      }
    }
  }
};

/// The lines of memory that panels come from, to be asked for little by little while others are multiplied: a processor
/// waits once it has some twenty under way.
class Ahead {
 public:
  /// Of outputs [n, n + step) from word k on; of none where n is `outputs`.
  Ahead(const Panels& panels, std::int64_t n, std::int64_t k)
      : panels_(panels),
        n_(n),
        end_(std::min(n + panels.step(), panels.outputs())),
        k_(k),
        count_(std::min(kPanelDepth, panels.depth() - k)) {
    next();
  }
  std::int64_t lines() const { return (end_ - n_) * pieces(static_cast<std::int64_t>(rest_.size()), kLine); }
  void fetch(std::int64_t count) {
    for (; count > 0 && !rest_.empty(); --count) {
      __builtin_prefetch(rest_.data(), 0, 2);
      rest_ = rest_.subspan(std::min<std::size_t>(kLine, rest_.size()));
      if (!rest_.empty()) continue;
      ++n_;
      next();
    }
  }

 private:
  void next() {
    if (n_ < end_) rest_ = panels_.source(n_, k_, count_);
  }

  const Panels& panels_;
  std::int64_t n_, end_, k_, count_;
  std::span<const std::byte> rest_;  ///< of output n_
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
    Scratch scratch(Scratch::need<float>(step * kPanelDepth) + Scratch::need<float>(rows_ * width));
    float* panels = scratch.get<float>(step * kPanelDepth);
    float* acc = scratch.get<float>(rows_ * width);
    zero(acc, rows_ * width);
    for (std::int64_t k = depth_.begin; k < depth_.end; k += kPanelDepth) {
      for (std::int64_t n = begin; n < end; n += step) {
        panels_.fill(n, k, std::min(kPanelDepth, depth_.end - k), panels);
        const bool last = n + step >= end;
        Ahead ahead(panels_, last ? begin : n + step, std::min(last ? k + kPanelDepth : k, panels_.depth()));
        for (std::int64_t c = 0; c < step && n + c < end; c += floats_.panel_columns) {
          multiply(k, panels + c * kPanelDepth, acc + (n + c - begin), width, ahead);
        }
      }
    }
    for (std::int64_t i = 0; i < rows_; ++i) store(first_ + i, begin, end - begin, acc + i * width);
  }

 private:
  /// All rows with one panel, in tiles of about as many rows each.
  void multiply(std::int64_t k, const float* panel, float* acc, std::int64_t width, Ahead& ahead) const {
    const std::int64_t count = std::min(kPanelDepth, depth_.end - k), tiles = pieces(rows_, floats_.panel_rows);
    const std::int64_t share = pieces(ahead.lines(), tiles);
    for (std::int64_t t = 0; t < tiles; ++t) {
      const std::int64_t row = rows_ * t / tiles, end = rows_ * (t + 1) / tiles;
      ahead.fetch(share);
      panels_.multiply({.x = x_.at(first_ + row, k),
                        .panel = panel,
                        .columns = floats_.panel_columns,
                        .k = count,
                        .rows = end - row,
                        .acc = acc + row * width,
                        .acc_pitch = width});
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
