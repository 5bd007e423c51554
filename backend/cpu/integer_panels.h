#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "backend/common/executor.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/weights.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

inline constexpr std::int64_t kTask = 1 << 16;  // multiply-adds that are worth a thread

/// A block of rows of x as integers, transposed into panels of a vector of rows each, shared by all threads of one
/// call. `depth` activations of a panel are followed by as many of the next one, so that what is multiplied together
/// lies together: at one distance from panel to panel they would share places of the caches.
class ActivationPanels {
 public:
  ActivationPanels(const Unit& unit, const IntegerScheme& scheme, std::int64_t rows_, std::int64_t length_, int size,
                   int zero_, std::int64_t depth_)
      : rows(rows_),
        count((rows_ + unit.lanes - 1) / unit.lanes),
        length(length_),
        depth(depth_),
        step_bytes(unit.lanes * scheme.bytes),
        block(size),
        zero(zero_),
        lanes(unit.lanes),
        blocks(length / size),
        bytes(length * step_bytes),
        floats(unit.lanes * blocks),
        memory(Scratch::need<unsigned char>(count * bytes) + 2 * Scratch::need<float>(count * floats) +
               Scratch::need<unsigned char>(rows)),
        q(memory.get<unsigned char>(count * bytes)),
        scale(memory.get<float>(count * floats)),
        sum(memory.get<float>(count * floats)),
        fits(memory.get<unsigned char>(rows)) {}

  void pack(const Unit& unit, const IntegerScheme& scheme, const Matrix& x, std::int64_t first) {
    const std::int64_t grain = std::max<std::int64_t>(1, kTask / std::max<std::int64_t>(1, x.columns * unit.lanes * 4));
    parallel_ranges(count, grain, 1, [&](std::int64_t begin, std::int64_t end) {
      Scratch own(Scratch::need<float>(x.columns) + Scratch::need<unsigned char>(bytes) +
                  2 * Scratch::need<float>(floats));
      float* line = own.get<float>(x.columns);
      unsigned char* lines = own.get<unsigned char>(bytes);
      float* scales = own.get<float>(floats);
      float* sums = own.get<float>(floats);
      const std::int64_t pitch = x.columns * scheme.bytes;
      for (std::int64_t panel = begin; panel < end; ++panel) {
        for (std::int64_t lane = 0; lane < unit.lanes; ++lane) {
          const std::int64_t row = panel * unit.lanes + lane;
          bool good = false;
          if (row < rows) {
            const float* values = x.floats(first + row);
            if (values == nullptr) {
              unit.load(x.at(first + row, 0), x.element, x.column_stride, x.columns, line);
              values = line;
            }
            good = scheme.pack(values, x.columns, block, zero, lines + lane * pitch, scales + lane * blocks,
                               sums + lane * blocks);
            fits[row] = good;
          }
          if (good) continue;
          std::memset(lines + lane * pitch, 0, static_cast<std::size_t>(pitch));
          std::fill_n(scales + lane * blocks, blocks, 0.f);
          std::fill_n(sums + lane * blocks, blocks, 0.f);
        }
        const std::int64_t parts = scheme.bytes / scheme.step, vector = unit.lanes * 4;
        for (std::int64_t k = 0; k < length; k += depth) {
          for (std::int64_t part = 0; part < parts; ++part) {
            unit.transpose(lines + part * length + k * scheme.step, pitch, here(k) * scheme.step / 4,
                           q_at(panel, k) + part * vector, parts * vector);
          }
          const std::int64_t first = k / block;
          unit.transpose(scales + first, blocks * 4, here(k) / block, scale + float_at(panel, k), vector);
          unit.transpose(sums + first, blocks * 4, here(k) / block, sum + float_at(panel, k), vector);
        }
      }
    });
  }

  /// Activations of a row from k on, a multiple of `depth`, that lie together.
  std::int64_t here(std::int64_t k) const { return std::min(depth, length - k); }
  unsigned char* q_at(std::int64_t panel, std::int64_t k) const {
    return q + (k * count + panel * here(k)) * step_bytes;
  }
  /// Where the scales or sums of the blocks from k on begin.
  std::int64_t float_at(std::int64_t panel, std::int64_t k) const {
    return (k * count + panel * here(k)) / block * lanes;
  }

  std::int64_t rows, count, length, depth;
  std::int64_t step_bytes;  ///< of a panel, for one activation of each row
  int block, zero, lanes;
  std::int64_t blocks;         ///< in a row
  std::int64_t bytes, floats;  ///< of a panel: its activations, and its scales or sums
  Scratch memory;
  unsigned char* q;
  float* scale;
  float* sum;
  unsigned char* fits;
};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
