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
/// call.
class ActivationPanels {
 public:
  ActivationPanels(const Unit& unit, const IntegerScheme& scheme, std::int64_t rows_, std::int64_t length, int size)
      : rows(rows_),
        count((rows_ + unit.lanes - 1) / unit.lanes),
        block(size),
        blocks(length / size),
        bytes(unit.lanes * length * scheme.bytes),
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
            unit.load(x.at(first + row, 0), x.element, x.column_stride, x.columns, line);
            good =
                scheme.pack(line, x.columns, block, lines + lane * pitch, scales + lane * blocks, sums + lane * blocks);
            fits[row] = good;
          }
          if (good) continue;
          std::memset(lines + lane * pitch, 0, static_cast<std::size_t>(pitch));
          std::fill_n(scales + lane * blocks, blocks, 0.f);
          std::fill_n(sums + lane * blocks, blocks, 0.f);
        }
        const std::int64_t parts = scheme.bytes / scheme.step, vector = unit.lanes * 4;
        for (std::int64_t part = 0; part < parts; ++part) {
          unit.transpose(lines + part * x.columns, pitch, x.columns * scheme.step / 4,
                         q + panel * bytes + part * vector, parts * vector);
        }
        unit.transpose(scales, blocks * 4, blocks, scale + panel * floats, vector);
        unit.transpose(sums, blocks * 4, blocks, sum + panel * floats, vector);
      }
    });
  }

  std::int64_t rows, count;
  int block;
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
