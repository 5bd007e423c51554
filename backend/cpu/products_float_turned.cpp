#include <cstring>

#include "backend/cpu/products_float.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace products_float {
namespace {

constexpr std::int64_t kBlock = 12, kTallBlock = 96;  // outputs whose words are filled at once

/// A block of rows of x in panels: a row is a column, the contracted axis is cut: (chunk, panel, kPanelDepth, columns).
/// Panels are about as wide as each other, the last ones filled up with zeros.
class XPanels {
 public:
  XPanels(const Unit& unit, const Rows& rows, std::int64_t first, std::int64_t count, std::int64_t steps)
      : rows_(count),
        lanes_(unit.lanes),
        vectors_(pieces(count, lanes_)),
        panels_(pieces(count, unit.floats->panel_columns)),
        pitch_(vectors_ * lanes_),
        memory_(Scratch::need<float>(room(rows, steps))),
        data_(memory_.get<float>(room(rows, steps))) {
    const std::int64_t length = rows.x.columns, chunk = steps * kPanelDepth, chunks = pieces(length, chunk);
    const std::int64_t grain = std::max<std::int64_t>(1, kTask / (chunk * lanes_));
    parallel_ranges(chunks * vectors_, grain, 1, [&](std::int64_t begin, std::int64_t end) {
      Scratch scratch(Scratch::need<float>(lanes_ * kPanelDepth) + Scratch::need<float>(2 * kPanelDepth));
      float* lines = scratch.get<float>(lanes_ * kPanelDepth);
      float* line = scratch.get<float>(2 * kPanelDepth);
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t k = i / vectors_ * chunk, vector = i % vectors_;
        for (std::int64_t lane = 0; lane < lanes_; ++lane) {
          const std::int64_t row = vector * lanes_ + lane;
          float* out = lines + lane * kPanelDepth;
          if (row < count) {
            rows.load(unit, first + row, k, steps, out, line);
          } else {
            std::memset(out, 0, kPanelDepth * kFloat);
          }
        }
        const std::int64_t panel = panel_of(vector), columns = width(panel);
        unit.transpose(lines, kPanelDepth * sizeof(float), std::min(kPanelDepth, (length - k) / steps),
                       at(panel, k / steps) + vector * lanes_ - begin_of(panel), columns * kFloat);
      }
    });
  }
  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return pitch_; }
  std::int64_t parts() const { return panels_; }
  std::int64_t most_shares() const { return panels_; }
  /// The first column of a panel, and how many it has.
  std::int64_t begin_of(std::int64_t panel) const { return share(vectors_, panel, panels_) * lanes_; }
  std::int64_t width(std::int64_t panel) const { return begin_of(panel + 1) - begin_of(panel); }
  /// A panel from word k on, a multiple of kPanelDepth.
  float* at(std::int64_t panel, std::int64_t k) const { return data_ + k * pitch_ + begin_of(panel) * kPanelDepth; }

 private:
  std::int64_t room(const Rows& rows, std::int64_t steps) const {
    return pieces(rows.x.columns, steps * kPanelDepth) * kPanelDepth * pitch_;
  }
  std::int64_t panel_of(std::int64_t vector) const {
    std::int64_t panel = 0;
    while (begin_of(panel + 1) <= vector * lanes_) ++panel;
    return panel;
  }

  std::int64_t rows_, lanes_, vectors_, panels_, pitch_;
  Scratch memory_;
  float* data_;
};

/// Outputs of some panels of a block of x.
class TurnedSlab {
 public:
  using X = XPanels;
  static std::int64_t step(const Unit& unit, const WordRows&) { return unit.lanes; }
  TurnedSlab(const Unit& unit, const WordRows& words, const XPanels& x, Range panels, Range depth)
      : unit_(unit),
        words_(words),
        x_(x),
        panels_(panels),
        depth_(depth),
        first_(x.begin_of(panels.begin)),
        columns_(x.begin_of(panels.end) - first_) {}

  template <class Store>
  void run(std::int64_t begin, std::int64_t end, Store&& store) const {
    const std::int64_t width = round_up(end - begin, unit_.lanes), most = unit_.floats->panel_columns;
    const std::int64_t blocks = pieces(end - begin, outputs_at_once()), block = pieces(end - begin, blocks);
    const std::int64_t most_lines = words_.most_lines(block, kPanelDepth);
    Scratch scratch(Scratch::need<float>(block * kPanelDepth) + Scratch::need<const void*>(most_lines) +
                    Scratch::need<float>(columns_ * width) + Scratch::need<float>(most * width));
    const Room room{scratch.get<float>(block * kPanelDepth), scratch.get<const void*>(most_lines),
                    scratch.get<float>(columns_ * width), scratch.get<float>(most * width)};
    std::memset(room.acc, 0, static_cast<std::size_t>(columns_ * width) * sizeof(float));
    const auto block_at = [&](std::int64_t i) {
      return Range{begin + share(end - begin, i, blocks), begin + share(end - begin, i + 1, blocks)};
    };
    for (const void* line : locate(block_at(0), depth_.begin, room.ahead)) __builtin_prefetch(line);
    for (std::int64_t k = depth_.begin; k < depth_.end; k += kPanelDepth) {
      for (std::int64_t i = 0; i < blocks; ++i) {
        const Range outputs = block_at(i);
        words_.fill(outputs.begin, outputs.count(), k, std::min(kPanelDepth, depth_.end - k), room.words);
        const Ahead ahead =
            i + 1 < blocks ? locate(block_at(i + 1), k, room.ahead) : locate(block_at(0), k + kPanelDepth, room.ahead);
        for (std::int64_t p = panels_.begin; p < panels_.end; ++p) {
          multiply(p, k, outputs.count(), piece(ahead, p - panels_.begin, panels_.count()), room.words,
                   room.acc + (outputs.begin - begin) * columns_ + x_.begin_of(p) - first_);
        }
      }
    }
    for (std::int64_t p = panels_.begin; p < panels_.end; ++p) {
      const std::int64_t column = x_.begin_of(p), here = std::min(x_.width(p), x_.rows() - column);
      for (std::int64_t n = 0; n < width; n += unit_.lanes) {
        unit_.transpose(room.acc + n * columns_ + column - first_, columns_ * kFloat, here, room.turned + n,
                        width * kFloat);
      }
      for (std::int64_t i = 0; i < here; ++i) store(column + i, begin, end - begin, room.turned + i * width);
    }
  }

 private:
  struct Room {
    float* words;        ///< (outputs of a block, kPanelDepth)
    const void** ahead;  ///< the lines that the next block is filled from
    float* acc;          ///< (outputs, columns of x)
    float* turned;       ///< (columns of a panel, outputs)
  };
  /// Rows of words are multiplied while the first cache has them; where x is long, it passes by for more at once.
  std::int64_t outputs_at_once() const {
    return columns_ * kPanelDepth * kFloat <= blocking().few_activations ? kBlock : kTallBlock;
  }
  /// The lines that words of outputs are filled from, from k on, where there are such.
  Ahead locate(Range outputs, std::int64_t k, const void** lines) const {
    if (k >= depth_.end) return {};
    const std::int64_t count = std::min(kPanelDepth, depth_.end - k);
    const std::int64_t found = words_.locate(outputs.begin, outputs.count(), k, count, false, lines);
    return {lines, static_cast<std::size_t>(found)};
  }
  /// Rows of words with one panel, in tiles of about as many rows each.
  void multiply(std::int64_t panel, std::int64_t k, std::int64_t rows, Ahead ahead, const float* words,
                float* acc) const {
    const std::int64_t columns = x_.width(panel);
    const FloatProducts& floats = *unit_.floats;
    const int sums = floats.panel_columns / unit_.lanes * floats.panel_rows;
    const std::int64_t tiles = pieces(rows, rows_beside(sums, static_cast<int>(columns) / unit_.lanes));
    for (std::int64_t t = 0; t < tiles; ++t) {
      const std::int64_t row = share(rows, t, tiles), end = share(rows, t + 1, tiles);
      const Ahead own = piece(ahead, t, tiles);
      words_.multiply({.x = words + row * kPanelDepth,
                       .panel = x_.at(panel, k),
                       .columns = static_cast<int>(columns),
                       .k = std::min(kPanelDepth, depth_.end - k),
                       .rows = end - row,
                       .acc = acc + row * columns_,
                       .acc_pitch = columns_,
                       .ahead = own.data(),
                       .ahead_count = std::ssize(own)});
    }
  }

  const Unit& unit_;
  const WordRows& words_;
  const XPanels& x_;
  Range panels_, depth_;
  std::int64_t first_, columns_;
};

}  // namespace

void multiply_turned(const Unit& unit, const Rows& rows, const WordRows& words) {
  multiply_blocks<TurnedSlab>(unit, rows, words);
}

}  // namespace products_float
}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
