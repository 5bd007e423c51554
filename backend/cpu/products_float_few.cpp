#include <algorithm>
#include <cstring>

#include "backend/common/executor.h"
#include "backend/cpu/products.h"
#include "backend/cpu/scratch.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

constexpr std::int64_t kTask = 1 << 15;            // multiply-adds that are worth a thread
constexpr std::int64_t kDecodeCost = 8;            // of a weight, in multiply-adds
constexpr std::int64_t kRows = CodeLines::kLines;  // rows of w that are decoded at once
constexpr std::int64_t kRun = 256;        // rows of w whose sums are added to those before: short chains lose little
constexpr std::int64_t kMostSums = 4096;  // of a row, so that they stay in the first cache

/// x as fp32, row by row.
class XRows {
 public:
  XRows(const Unit& unit, const Matrix& x)
      : pitch_((x.columns + 15) / 16 * 16),
        memory_(Scratch::need<float>(x.rows * pitch_)),
        data_(memory_.get<float>(x.rows * pitch_)) {
    for (std::int64_t i = 0; i < x.rows; ++i) {
      unit.load(x.at(i, 0), x.element, x.column_stride, x.columns, data_ + i * pitch_);
    }
  }
  const float* at(std::int64_t row, std::int64_t k) const { return data_ + row * pitch_ + k; }
  std::int64_t pitch() const { return pitch_; }

 private:
  std::int64_t pitch_;
  Scratch memory_;
  float* data_;
};

/// One of FloatProducts' functions of few rows for any number of rows of x.
template <class Args>
void multiply_rows(void (*product)(const Args&), std::int64_t few, std::int64_t rows, Args args) {
  for (; rows > 0; rows -= few, args.x += few * args.x_pitch, args.y += few * args.y_pitch) {
    args.rows = std::min(few, rows);
    product(args);
  }
}

std::int64_t grain_for(std::int64_t cost) { return std::max<std::int64_t>(1, kTask / std::max<std::int64_t>(1, cost)); }

/// Sums of outputs [begin, end) of all rows of x, from zero to where they go.
template <class Add>
void sum_outputs(const Unit& unit, const Output& y, std::int64_t begin, std::int64_t end, Add&& add) {
  const std::int64_t width = end - begin;
  Scratch scratch(Scratch::need<float>(y.rows * width));
  float* sums = scratch.get<float>(y.rows * width);
  std::memset(sums, 0, static_cast<std::size_t>(y.rows * width) * sizeof(float));
  add(sums, width);
  for (std::int64_t m = 0; m < y.rows; ++m) y.store(unit, m, begin, width, sums + m * width);
}

}  // namespace

void multiply_along_few(const Unit& unit, const Matrix& x, const WeightRows& w, const Output& y) {
  const FloatProducts& floats = *unit.floats;
  const XRows xs(unit, x);
  const PackedRows* packed = w.as_codes();
  const std::int64_t depth = packed != nullptr ? kCodeDepth : w.in_place() != nullptr ? w.length() : kChunk;
  const auto add = [&](std::int64_t begin, std::int64_t end, float* sums, std::int64_t width) {
    alignas(64) float room[kRows * kChunk];
    CodeLines codes;
    for (std::int64_t n = begin; n < end; n += kRows, sums += kRows) {
      const std::int64_t here = std::min(kRows, end - n);
      for (std::int64_t k = 0; k < w.length(); k += depth) {
        const std::int64_t count = std::min(depth, w.length() - k);
        const Next next = k + count < w.length() ? Next{n, k + count} : Next{n + here, 0};
        if (packed != nullptr) {
          packed->code_lines(n, here, k, count, codes, next);
          multiply_rows<CodeProduct>(floats.dot_codes, floats.few_rows, x.rows,
                                     {xs.at(0, k), xs.pitch(), 0, codes.codes, codes.scales, codes.biases,
                                      packed->zero(), here, count, packed->format().group_size, sums, width});
        } else {
          const Lines lines = w.lines(n, here, k, count, room, next);
          multiply_rows<RowProduct>(
              floats.dot, floats.few_rows, x.rows,
              {xs.at(0, k), xs.pitch(), 0, lines.data, lines.element, lines.pitch, here, count, sums, width});
        }
      }
    }
  };
  parallel_ranges(
      w.rows(), grain_for(w.length() * (x.rows + kDecodeCost)), kRows, [&](std::int64_t begin, std::int64_t end) {
        sum_outputs(unit, y, begin, end, [&](float* sums, std::int64_t width) { add(begin, end, sums, width); });
      });
}

void multiply_across_few(const Unit& unit, const Matrix& x, const WeightRows& w, const Output& y) {
  const FloatProducts& floats = *unit.floats;
  const XRows xs(unit, x);
  const auto add = [&](std::int64_t first, std::int64_t count, float* sums, std::int64_t width) {
    Scratch scratch(Scratch::need<float>(kRows * kChunk) + Scratch::need<float>(x.rows * width));
    float* room = scratch.get<float>(kRows * kChunk);
    float* part = scratch.get<float>(x.rows * width);
    for (std::int64_t run = 0; run < w.rows(); run += kRun) {
      std::fill_n(part, x.rows * width, 0.f);
      const std::int64_t end = std::min(run + kRun, w.rows());
      for (std::int64_t n = run; n < end; n += kRows) {
        const std::int64_t here = std::min(kRows, end - n);
        const Lines lines = w.lines(n, here, first, count, room, {n + here, first});
        multiply_rows<RowProduct>(
            floats.accumulate, floats.few_rows, x.rows,
            {xs.at(0, n), xs.pitch(), 0, lines.data, lines.element, lines.pitch, here, count, part, width});
      }
      for (std::int64_t i = 0; i < x.rows * width; ++i) sums[i] += part[i];
    }
  };
  const std::int64_t step = std::max<std::int64_t>(64, w.cut());
  const std::int64_t most = (w.in_place() != nullptr ? kMostSums : kChunk) / step * step;
  parallel_ranges(
      w.length(), grain_for(w.rows() * (x.rows + kDecodeCost)), step, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t c = begin; c < end; c += most) {
          const std::int64_t count = std::min(most, end - c);
          sum_outputs(unit, y, c, c + count, [&](float* sums, std::int64_t width) { add(c, count, sums, width); });
        }
      });
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
