#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "backend/common/executor.h"
#include "backend/cpu/blocking.h"
#include "backend/cpu/output.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/weights.h"

/// What the two ways of multiplying in floating point share: panels of weights beside rows of x, and panels of x beside
/// rows of weights. A sum runs alike in both, so its bits are the same.
namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace products_float {

constexpr std::int64_t kFloat = sizeof(float);
constexpr std::int64_t kRowBlock = 512;                       // rows of x that one decoding of w serves
constexpr std::int64_t kTask = 1 << 15;                       // multiply-adds that are worth a thread
constexpr std::int64_t kFewOutputs = 128;                     // for so few, threads share the contracted axis
constexpr std::int64_t kSplitDepth = 2048, kMostSplits = 16;  // of it, steps of a share, and shares

inline std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}
inline std::int64_t pieces(std::int64_t value, std::int64_t size) { return (value + size - 1) / size; }
/// Where piece i of `count` of about one size begins.
inline std::int64_t share(std::int64_t value, std::int64_t i, std::int64_t count) { return value * i / count; }

/// A part of a line of places.
struct Range {
  std::int64_t begin, end;
  std::int64_t count() const { return end - begin; }
};

/// Rows of x, all or those listed, and where their products go.
struct Rows {
  const Matrix& x;
  const Output& y;
  std::span<const std::int64_t> only;
  std::int64_t count() const { return only.empty() ? x.rows : static_cast<std::int64_t>(only.size()); }
  std::int64_t at(std::int64_t i) const { return only.empty() ? i : only[static_cast<std::size_t>(i)]; }
  /// `steps` places of row i from k on in each word of a panel: fp32, or pairs of bf16. `line` has room for all.
  void load(const Unit& unit, std::int64_t i, std::int64_t k, std::int64_t steps, float* out, float* line) const {
    const std::int64_t here = std::min(steps * kPanelDepth, x.columns - k);
    unit.load(x.at(at(i), k), x.element, x.column_stride, here, steps == 1 ? out : line);
    if (steps == 2) unit.store(line, here, out, Element::bf16, 1);
  }
};

using Ahead = std::span<const void* const>;  ///< lines of memory that are asked for little by little
/// Piece i of `count`.
inline Ahead piece(Ahead all, std::int64_t i, std::int64_t count) {
  const std::int64_t size = std::ssize(all), begin = share(size, i, count), end = share(size, i + 1, count);
  return all.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

/// Weights in words of 32 bits: fp32, or pairs of bf16, an even number of them along the contracted axis.
class Words {
 public:
  Words(const Unit& unit, std::int64_t outputs, std::int64_t depth) : unit_(unit), outputs_(outputs), depth_(depth) {}
  virtual ~Words() = default;
  std::int64_t outputs() const { return outputs_; }
  /// Words along the contracted axis.
  std::int64_t depth() const { return depth_; }
  /// Places along the contracted axis in a word, and the product of such words.
  virtual std::int64_t steps() const { return 1; }
  virtual void multiply(const PanelProduct& args) const { unit_.floats->multiply(args); }

  /// The lines of memory that words [k, k + count) of outputs [n, n + rows) come from: how many it wrote to `lines`, no
  /// more than most_lines(rows, count). `after`: without those that outputs just before them share where outputs lie
  /// side by side, since these have been read.
  virtual std::int64_t locate(std::int64_t n, std::int64_t rows, std::int64_t k, std::int64_t count, bool after,
                              const void** lines) const = 0;
  virtual std::int64_t most_lines(std::int64_t rows, std::int64_t count) const = 0;

 protected:
  const Unit& unit_;

 private:
  std::int64_t outputs_, depth_;
};

/// task(i) for each i in [0, count), by several threads where that is worth it.
inline void run_tasks(std::int64_t count, bool worth, TaskRef task) {
  if (worth) return parallel_for(count, task);
  for (std::int64_t i = 0; i < count; ++i) task(i);
}

/// By sizes of w alone: bits must depend neither on threads nor on other rows.
inline std::int64_t splits_of(const Words& words) {
  return words.outputs() > kFewOutputs ? 1 : std::clamp<std::int64_t>(words.depth() / kSplitDepth, 1, kMostSplits);
}

/// The sums of shares of the contracted axis, which are added in their order.
template <class Slab, class W, class Store>
void multiply_split(const Unit& unit, const typename Slab::X& x, const W& words, std::int64_t splits, bool worth,
                    Store&& store) {
  const std::int64_t outputs = words.outputs(), size = x.rows() * outputs, whole = pieces(words.depth(), kPanelDepth);
  Scratch scratch(Scratch::need<float>(splits * size));
  float* sums = scratch.get<float>(splits * size);
  run_tasks(splits, worth, [&](std::int64_t i) {
    const Range depth{share(whole, i, splits) * kPanelDepth,
                      std::min(share(whole, i + 1, splits) * kPanelDepth, words.depth())};
    Slab(unit, words, x, {0, x.parts()}, depth)
        .run(0, outputs, [&](std::int64_t m, std::int64_t n, std::int64_t count, const float* part) {
          std::copy_n(part, count, sums + i * size + m * outputs + n);
        });
  });
  for (std::int64_t i = 1; i < splits; ++i) {
    for (std::int64_t j = 0; j < size; ++j) sums[j] += sums[i * size + j];
  }
  for (std::int64_t m = 0; m < x.rows(); ++m) store(m, 0, outputs, sums + m * outputs);
}

/// Blocks of rows of x, and slabs of outputs that threads share out. Slab::X is a block as it is multiplied, in parts
/// that threads can share too; Slab(unit, words, x, parts, depth).run(begin, end, store) are outputs of some of them,
/// summed over a part of the contracted axis that begins at a panel.
template <class Slab, class W>
void multiply_blocks(const Unit& unit, const Rows& rows, const W& words) {
  const Output& y = rows.y;
  if (y.columns == 0) return;
  for (std::int64_t first = 0; first < rows.count(); first += kRowBlock) {
    const typename Slab::X x(unit, rows, first, std::min(kRowBlock, rows.count() - first), words.steps());
    const auto store = [&](std::int64_t m, std::int64_t n, std::int64_t count, const float* sums) {
      y.store(unit, rows.at(first + m), n, count, sums);
    };
    const std::int64_t work = words.outputs() * words.depth() * x.rows();
    const std::int64_t threads = std::clamp<std::int64_t>(work / kTask, 1, num_threads());
    if (const std::int64_t splits = splits_of(words); splits > 1) {
      multiply_split<Slab>(unit, x, words, splits, threads > 1, store);
      continue;
    }
    // Outputs of a task: their panels pass by the same piece of x, and their sums stay near. Beside few rows there are
    // more, since those that lie side by side share lines of memory.
    const std::int64_t step = Slab::step(unit, words);
    const std::int64_t few = std::min(blocking().slab / 4 / (x.rows() * kFloat), pieces(words.outputs(), 4 * threads));
    const std::int64_t slab = std::max({step, blocking().slab / (kRowBlock * kFloat), few});
    // As many slabs for each thread, all alike; where outputs are few, threads share out rows.
    const std::int64_t wanted = round_up(pieces(words.outputs(), slab), threads);
    const std::int64_t width = round_up(pieces(words.outputs(), wanted), step);
    const std::int64_t slabs = pieces(words.outputs(), width);
    const std::int64_t parts = std::clamp<std::int64_t>(threads / slabs, 1, x.most_shares());
    const auto task = [&](std::int64_t i) {
      const std::int64_t part = i % parts, begin = i / parts * width;
      Slab(unit, words, x, {share(x.parts(), part, parts), share(x.parts(), part + 1, parts)}, {0, words.depth()})
          .run(begin, std::min(begin + width, words.outputs()), store);
    };
    run_tasks(slabs * parts, threads > 1, task);
  }
}

/// Rows of weights in words, for panels of x.
class WordRows : public Words {
 public:
  using Words::Words;
  /// Words [k, k + count) of outputs [n, n + rows): (rows, kPanelDepth).
  virtual void fill(std::int64_t n, std::int64_t rows, std::int64_t k, std::int64_t count, float* out) const = 0;
};
/// y = x · wᵀ with a row of x in a lane.
void multiply_turned(const Unit& unit, const Rows& rows, const WordRows& words);

}  // namespace products_float
}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
