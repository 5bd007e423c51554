#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "backend/common/executor.h"
#include "backend/cpu/products.h"
#include "backend/cpu/scratch.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

constexpr std::int64_t kRowBlock = 512;  // rows of x that one pass over w serves
constexpr std::int64_t kTask = 1 << 16;  // multiply-adds that are worth a thread
constexpr std::int64_t kDecodeCost = 8;  // of a weight, in multiply-adds
constexpr std::int64_t kFewRows = 2;     // for so few, tiles are not worth their interleaving

std::int64_t grain_for(std::int64_t cost) { return std::max<std::int64_t>(1, kTask / std::max<std::int64_t>(1, cost)); }

/// A block of rows of x as integers, shared by all threads of one call.
struct Activations {
  Activations(const IntegerScheme& scheme, std::int64_t count, std::int64_t length, int size)
      : rows(count),
        block(size),
        blocks(length / size),
        pitch(length * scheme.bytes),
        memory(Scratch::need<unsigned char>(rows * pitch) + 2 * Scratch::need<float>(rows * blocks) +
               Scratch::need<unsigned char>(rows)),
        q(memory.get<unsigned char>(rows * pitch)),
        scale(memory.get<float>(rows * blocks)),
        sum(memory.get<float>(rows * blocks)),
        fits(memory.get<unsigned char>(rows)) {}

  void pack(const Unit& unit, const IntegerScheme& scheme, const Matrix& x, std::int64_t first) {
    parallel_ranges(rows, grain_for(x.columns * 4), 1, [&](std::int64_t begin, std::int64_t end) {
      Scratch own(Scratch::need<float>(x.columns));
      float* line = own.get<float>(x.columns);
      for (std::int64_t m = begin; m < end; ++m) {
        unit.load(x.at(first + m, 0), x.element, x.column_stride, x.columns, line);
        fits[m] = scheme.pack(line, x.columns, block, q + m * pitch, scale + m * blocks, sum + m * blocks);
        if (!fits[m]) clear(m);
      }
    });
  }
  void clear(std::int64_t m) {
    std::memset(q + m * pitch, 0, static_cast<std::size_t>(pitch));
    std::fill_n(scale + m * blocks, blocks, 0.f);
    std::fill_n(sum + m * blocks, blocks, 0.f);
  }

  std::int64_t rows;
  int block;
  std::int64_t blocks, pitch;
  Scratch memory;
  unsigned char* q;
  float* scale;
  float* sum;
  unsigned char* fits;
};

/// Columns [begin, end) of y for a block of rows, a tile of them at a time.
template <class Store>
void multiply_tiles(const Unit& unit, const IntegerScheme& scheme, const Activations& x, const PackedRows& w,
                    std::int64_t begin, std::int64_t end, Store&& store) {
  const std::int64_t tile_rows = unit.tile_rows, group = w.format().group_size;
  const std::int64_t scales_size = kChunk / group * tile_rows;
  Scratch scratch(2 * Scratch::need<std::uint8_t>(tile_rows * kChunk) + 2 * Scratch::need<float>(scales_size) +
                  Scratch::need<float>(x.rows * tile_rows));
  std::uint8_t* codes = scratch.get<std::uint8_t>(tile_rows * kChunk);
  std::uint8_t* tile = scratch.get<std::uint8_t>(tile_rows * kChunk);
  float* scales = scratch.get<float>(scales_size);
  float* biases = scratch.get<float>(scales_size);
  float* acc = scratch.get<float>(x.rows * tile_rows);
  const int group_shift = std::countr_zero(static_cast<unsigned>(group / x.block));
  for (std::int64_t n = begin; n < end; n += tile_rows) {
    std::memset(acc, 0, static_cast<std::size_t>(x.rows * tile_rows) * sizeof(float));
    for (std::int64_t k = 0; k < w.length(); k += kChunk) {
      const std::int64_t count = std::min(kChunk, w.length() - k), block = k / x.block;
      w.tile(n, k, count, codes, tile, scales, biases);
      scheme.multiply({.x = x.q + k * scheme.step,
                       .x_pitch = x.pitch,
                       .x_half = w.length(),
                       .x_scale = x.scale + block,
                       .x_sum = x.sum + block,
                       .x_blocks = x.blocks,
                       .tile = tile,
                       .scales = scales,
                       .biases = biases,
                       .block = x.block,
                       .group_shift = group_shift,
                       .blocks = count / x.block,
                       .rows = x.rows,
                       .acc = acc});
    }
    const std::int64_t here = std::min(tile_rows, end - n);
    for (std::int64_t m = 0; m < x.rows; ++m) {
      if (x.fits[m]) store(m, n, here, acc + m * tile_rows);
    }
  }
}

/// The same for few rows of x: integer sums straight from the packed bytes, a row of w after the other, then their scales. Sums of
/// integers have no order, so the bits are those of multiply_tiles.
template <class Store>
void multiply_few(const Unit& unit, const IntegerScheme& scheme, const Activations& x, const PackedRows& w,
                  std::int64_t begin, std::int64_t end, Store&& store) {
  const std::int64_t tile_rows = unit.tile_rows, group = w.format().group_size;
  const std::int64_t chunk = 4 * kChunk, scales_size = chunk / group * tile_rows, sums_size = tile_rows * x.blocks;
  Scratch scratch(Scratch::need<std::int32_t>(x.rows * sums_size) + 2 * Scratch::need<float>(scales_size) +
                  Scratch::need<float>(x.rows * tile_rows));
  std::int32_t* sums = scratch.get<std::int32_t>(x.rows * sums_size);
  float* scales = scratch.get<float>(scales_size);
  float* biases = scratch.get<float>(scales_size);
  float* acc = scratch.get<float>(x.rows * tile_rows);
  const int group_shift = std::countr_zero(static_cast<unsigned>(group / x.block));
  for (std::int64_t n = begin; n < end; n += tile_rows) {
    const std::int64_t here = std::min(tile_rows, end - n);
    if (here < tile_rows) std::memset(sums, 0, static_cast<std::size_t>(x.rows * sums_size) * sizeof(std::int32_t));
    std::memset(acc, 0, static_cast<std::size_t>(x.rows * tile_rows) * sizeof(float));
    for (std::int64_t r = 0; r < here; ++r) {
      for (std::int64_t m = 0; m < x.rows; ++m) {
        w.sums(scheme, n + r, x.block, x.q + m * x.pitch, w.length(), sums + m * sums_size + r * x.blocks);
      }
    }
    for (std::int64_t k = 0; k < w.length(); k += chunk) {
      const std::int64_t count = std::min(chunk, w.length() - k), block = k / x.block;
      w.scales(n, k, count, scales, biases);
      for (std::int64_t m = 0; m < x.rows; ++m) {
        unit.add_blocks({.sums = sums + m * sums_size + block,
                         .sums_pitch = x.blocks,
                         .x_scale = x.scale + m * x.blocks + block,
                         .x_sum = x.sum + m * x.blocks + block,
                         .scales = scales,
                         .biases = biases,
                         .group_shift = group_shift,
                         .blocks = count / x.block,
                         .acc = acc + m * tile_rows});
      }
    }
    for (std::int64_t m = 0; m < x.rows; ++m) {
      if (x.fits[m]) store(m, n, here, acc + m * tile_rows);
    }
  }
}

}  // namespace

bool suits_integers(const Format& format) {
  const int group = format.group_size;
  return format.family == Family::affine && format.codes != nullptr && group >= 32 && group <= 128 &&
         std::has_single_bit(static_cast<unsigned>(group));
}

void multiply_along_integer(const Unit& unit, const IntegerScheme& scheme, const Matrix& x, const PackedRows& w,
                            const Matrix& y) {
  const int block = std::min(w.format().group_size, 64);
  std::vector<std::int64_t> exact;
  for (std::int64_t first = 0; first < x.rows; first += kRowBlock) {
    Activations activations(scheme, std::min(kRowBlock, x.rows - first), w.length(), block);
    activations.pack(unit, scheme, x, first);
    const std::int64_t grain = grain_for(w.length() * (activations.rows + kDecodeCost));
    const bool few = activations.rows <= kFewRows && w.has_sums(scheme);
    parallel_ranges(w.rows(), grain, unit.tile_rows, [&](std::int64_t begin, std::int64_t end) {
      const auto store = [&](std::int64_t m, std::int64_t n, std::int64_t count, const float* sums) {
        unit.store(sums, count, y.at(first + m, n), y.element, y.column_stride);
      };
      if (few) {
        multiply_few(unit, scheme, activations, w, begin, end, store);
      } else {
        multiply_tiles(unit, scheme, activations, w, begin, end, store);
      }
    });
    for (std::int64_t m = 0; m < activations.rows; ++m) {
      if (!activations.fits[m]) exact.push_back(first + m);
    }
  }
  if (!exact.empty()) multiply_along(unit, x, w, y, exact);
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
