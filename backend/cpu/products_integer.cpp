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

std::int64_t grain_for(std::int64_t cost) { return std::max<std::int64_t>(1, kTask / std::max<std::int64_t>(1, cost)); }

constexpr std::int64_t kTile = 32;  // rows of w that are decoded together

/// A block of rows of x as integers, transposed into panels of a vector of rows each, shared by all threads of one call.
struct Panels {
  Panels(const Unit& unit, const IntegerScheme& scheme, std::int64_t rows_, std::int64_t length, int size)
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
    parallel_ranges(count, grain_for(x.columns * unit.lanes * 4), 1, [&](std::int64_t begin, std::int64_t end) {
      Scratch own(Scratch::need<float>(x.columns) + Scratch::need<unsigned char>(bytes) + 2 * Scratch::need<float>(floats));
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
            good = scheme.pack(line, x.columns, block, lines + lane * pitch, scales + lane * blocks, sums + lane * blocks);
            fits[row] = good;
          }
          if (good) continue;
          std::memset(lines + lane * pitch, 0, static_cast<std::size_t>(pitch));
          std::fill_n(scales + lane * blocks, blocks, 0.f);
          std::fill_n(sums + lane * blocks, blocks, 0.f);
        }
        const std::int64_t parts = scheme.bytes / scheme.step, vector = unit.lanes * 4;
        for (std::int64_t part = 0; part < parts; ++part) {
          unit.transpose(lines + part * x.columns, pitch, x.columns * scheme.step / 4, q + panel * bytes + part * vector,
                         parts * vector);
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

/// Rows [n, n + kTile) of w, the last one repeated past the end, for a chunk of their weights.
struct WeightTile {
  WeightTile(const PackedRows& rows, const IntegerScheme& scheme)
      : w(rows),
        code_bytes(scheme.code_bytes),
        groups(kChunk / rows.format().group_size),
        memory(Scratch::need<std::uint8_t>(kTile * kChunk * code_bytes) + 2 * Scratch::need<float>(kTile * groups)),
        codes(memory.get<std::uint8_t>(kTile * kChunk * code_bytes)),
        scales(memory.get<float>(kTile * groups)),
        biases(memory.get<float>(kTile * groups)) {}

  void decode(std::int64_t n, std::int64_t k, std::int64_t count) {
    for (std::int64_t r = 0; r < kTile; ++r) {
      const std::int64_t row = std::min(n + r, w.rows() - 1);
      std::uint8_t* line = codes + r * kChunk * code_bytes;
      if (code_bytes == 1) {
        w.unpack(row, k, count, line, scales + r * groups, biases + r * groups);
      } else {
        std::uint8_t narrow[kChunk];
        w.unpack(row, k, count, narrow, scales + r * groups, biases + r * groups);
        std::copy_n(narrow, count, reinterpret_cast<std::uint16_t*>(line));
      }
    }
  }

  const PackedRows& w;
  int code_bytes;
  std::int64_t groups;
  Scratch memory;
  std::uint8_t* codes;
  float* scales;
  float* biases;
};

/// Columns [n, n + kTile) of y for panels [begin, end).
template <class Store>
void multiply_tile(const Unit& unit, const IntegerScheme& scheme, const Panels& x, const PackedRows& w, std::int64_t n,
                   std::int64_t begin, std::int64_t end, Store&& store) {
  const std::int64_t panel = kTile * unit.lanes, group = w.format().group_size;
  WeightTile tile(w, scheme);
  Scratch scratch(Scratch::need<float>((end - begin) * panel) + Scratch::need<float>(panel));
  float* acc = scratch.get<float>((end - begin) * panel);
  float* lines = scratch.get<float>(panel);
  std::memset(acc, 0, static_cast<std::size_t>((end - begin) * panel) * sizeof(float));
  for (std::int64_t k = 0; k < w.length(); k += kChunk) {
    const std::int64_t count = std::min(kChunk, w.length() - k), block = k / x.block;
    tile.decode(n, k, count);
    scheme.multiply({.x = x.q + begin * x.bytes + k * unit.lanes * scheme.bytes,
                     .x_panel = x.bytes,
                     .x_scale = x.scale + begin * x.floats + block * unit.lanes,
                     .x_sum = x.sum + begin * x.floats + block * unit.lanes,
                     .x_blocks = x.blocks,
                     .panels = end - begin,
                     .codes = tile.codes,
                     .code_pitch = kChunk * scheme.code_bytes,
                     .scales = tile.scales,
                     .biases = tile.biases,
                     .groups = tile.groups,
                     .block = x.block,
                     .group_shift = std::countr_zero(static_cast<unsigned>(group / x.block)),
                     .blocks = count / x.block,
                     .rows = kTile,
                     .acc = acc});
  }
  const std::int64_t here = std::min(kTile, w.rows() - n);
  for (std::int64_t p = begin; p < end; ++p) {
    for (std::int64_t r = 0; r < kTile; r += unit.lanes) {
      unit.transpose(acc + (p - begin) * panel + r * unit.lanes, unit.lanes * 4, unit.lanes, lines + r, kTile * 4);
    }
    const std::int64_t first = p * unit.lanes, last = std::min(first + unit.lanes, x.rows);
    for (std::int64_t m = first; m < last; ++m) {
      if (x.fits[m]) store(m, n, here, lines + (m - first) * kTile);
    }
  }
}

/// All of y, in pieces of a tile by some panels: as many as keep all threads busy to the end.
template <class Store>
void multiply_tiles(const Unit& unit, const IntegerScheme& scheme, const Panels& x, const PackedRows& w, Store&& store) {
  if (w.rows() == 0) return;
  const std::int64_t tiles = (w.rows() + kTile - 1) / kTile, pairs = (x.count + 1) / 2;
  const std::int64_t wanted = num_threads() == 1 ? 1 : 8 * num_threads();
  const std::int64_t parts = std::clamp<std::int64_t>((wanted + tiles - 1) / tiles, 1, pairs);
  parallel_for(tiles * parts, [&](std::int64_t i) {
    const std::int64_t part = i % parts;
    multiply_tile(unit, scheme, x, w, i / parts * kTile, pairs * part / parts * 2,
                  std::min(pairs * (part + 1) / parts * 2, x.count), store);
  });
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
    const std::int64_t rows = std::min(kRowBlock, x.rows - first);
    const auto store = [&](std::int64_t m, std::int64_t n, std::int64_t count, const float* sums) {
      unit.store(sums, count, y.at(first + m, n), y.element, y.column_stride);
    };
    Panels panels(unit, scheme, rows, w.length(), block);
    panels.pack(unit, scheme, x, first);
    multiply_tiles(unit, scheme, panels, w, store);
    for (std::int64_t m = 0; m < rows; ++m) {
      if (!panels.fits[m]) exact.push_back(first + m);
    }
  }
  if (!exact.empty()) multiply_along(unit, x, w, y, true, exact);
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
