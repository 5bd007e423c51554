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

constexpr std::int64_t kRowBlock = 128;   // rows of x that one pass over w serves
constexpr std::int64_t kOuterRows = 32;   // rows of w decoded at once when summing over them
constexpr std::int64_t kTask = 1 << 15;   // multiply-adds that are worth a thread
constexpr std::int64_t kDecodeCost = 8;   // of a weight, in multiply-adds

std::int64_t round_up(std::int64_t value, std::int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }
std::int64_t grain_for(std::int64_t cost) { return std::max<std::int64_t>(1, kTask / std::max<std::int64_t>(1, cost)); }

void zero(float* p, std::int64_t count) { std::memset(p, 0, static_cast<std::size_t>(count) * sizeof(float)); }

/// A block of rows of x as contiguous fp32, each padded with zeros to `pitch`.
void gather_rows(const Unit& unit, const Matrix& x, std::int64_t first, std::int64_t count,
                 std::span<const std::int64_t> only, std::int64_t pitch, float* out) {
  parallel_ranges(count, grain_for(x.columns), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = only.empty() ? first + i : only[static_cast<std::size_t>(first + i)];
      unit.load(x.at(row, 0), x.element, x.column_stride, x.columns, out + i * pitch);
      zero(out + i * pitch + x.columns, pitch - x.columns);
    }
  });
}

/// Columns [begin, end) of y for a block of rows, `dot_rows` of them at a time.
class DotBlock {
 public:
  DotBlock(const Unit& unit, const WeightRows& w, const float* x, std::int64_t pitch, std::int64_t rows)
      : unit_(unit), w_(w), x_(x), pitch_(pitch), rows_(rows) {}

  template <class Store>
  void run(std::int64_t begin, std::int64_t end, Store&& store) const {
    const std::int64_t tile = unit_.dot_rows, sums = rows_ * tile;
    Scratch scratch(Scratch::need<float>(tile * kChunk) + Scratch::need<float>(sums * unit_.lanes) +
                    Scratch::need<float>(sums));
    float* weights = scratch.get<float>(tile * kChunk);
    float* acc = scratch.get<float>(sums * unit_.lanes);
    float* out = scratch.get<float>(sums);
    for (std::int64_t n = begin; n < end; n += tile) {
      const std::int64_t here = std::min(tile, end - n);
      zero(acc, sums * unit_.lanes);
      for (std::int64_t k = 0; k < pitch_; k += kChunk) {
        const std::int64_t count = std::min(kChunk, pitch_ - k);
        decode(n, here, k, weights);
        unit_.dot({x_ + k, pitch_, weights, kChunk, count, rows_, acc});
      }
      unit_.reduce(acc, sums, out);
      for (std::int64_t m = 0; m < rows_; ++m) store(m, n, here, out + m * tile);
    }
  }

 private:
  void decode(std::int64_t n, std::int64_t here, std::int64_t k, float* weights) const {
    const std::int64_t count = std::min(kChunk, pitch_ - k), real = std::min(count, w_.length() - k);
    for (std::int64_t r = 0; r < unit_.dot_rows; ++r) {
      float* line = weights + r * kChunk;
      if (r < here) w_.values(n + r, k, real, line);
      const std::int64_t filled = r < here ? real : 0;
      zero(line + filled, count - filled);
    }
  }

  const Unit& unit_;
  const WeightRows& w_;
  const float* x_;
  std::int64_t pitch_, rows_;
};

}  // namespace

void multiply_along(const Unit& unit, const Matrix& x, const WeightRows& w, const Matrix& y,
                    std::span<const std::int64_t> only) {
  const std::int64_t rows = only.empty() ? x.rows : static_cast<std::int64_t>(only.size());
  const std::int64_t pitch = round_up(w.length(), 16);
  for (std::int64_t first = 0; first < rows; first += kRowBlock) {
    const std::int64_t count = std::min(kRowBlock, rows - first);
    Scratch scratch(Scratch::need<float>(count * pitch));
    float* xs = scratch.get<float>(count * pitch);
    gather_rows(unit, x, first, count, only, pitch, xs);
    const DotBlock block(unit, w, xs, pitch, count);
    const std::int64_t grain = grain_for(pitch * (count + kDecodeCost));
    parallel_ranges(w.rows(), grain, unit.dot_rows, [&](std::int64_t begin, std::int64_t end) {
      block.run(begin, end, [&](std::int64_t m, std::int64_t n, std::int64_t few, const float* sums) {
        const std::int64_t row = only.empty() ? first + m : only[static_cast<std::size_t>(first + m)];
        unit.store(sums, few, y.at(row, n), y.element, y.column_stride);
      });
    });
  }
}

void multiply_across(const Unit& unit, const Matrix& x, const WeightRows& w, const Matrix& y) {
  const std::int64_t step = std::max<std::int64_t>(64, w.cut());  // columns that are summed together
  for (std::int64_t first = 0; first < x.rows; first += kRowBlock) {
    const std::int64_t rows = std::min(kRowBlock, x.rows - first), pitch = w.rows();
    Scratch scratch(Scratch::need<float>(rows * pitch));
    float* xs = scratch.get<float>(rows * pitch);
    gather_rows(unit, x, first, rows, {}, pitch, xs);
    const std::int64_t grain = grain_for(w.rows() * (rows + kDecodeCost));
    parallel_ranges(w.length(), grain, step, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t width = std::min(kChunk / step * step, round_up(end - begin, step));
      Scratch own(Scratch::need<float>(kOuterRows * width) + Scratch::need<float>(rows * width));
      float* weights = own.get<float>(kOuterRows * width);
      float* acc = own.get<float>(rows * width);
      for (std::int64_t c = begin; c < end; c += width) {
        const std::int64_t real = std::min(width, end - c), columns = round_up(real, 64);
        zero(acc, rows * width);
        for (std::int64_t n = 0; n < w.rows(); n += kOuterRows) {
          const std::int64_t here = std::min(kOuterRows, w.rows() - n);
          for (std::int64_t r = 0; r < here; ++r) {
            w.values(n + r, c, real, weights + r * width);
            zero(weights + r * width + real, columns - real);
          }
          unit.outer({xs + n, pitch, weights, width, here, columns, rows, acc, width});
        }
        for (std::int64_t m = 0; m < rows; ++m) {
          unit.store(acc + m * width, real, y.at(first + m, c), y.element, y.column_stride);
        }
      }
    });
  }
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
