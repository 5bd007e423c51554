// GGUF IQ2_S: an f16 d; for each eight weights the low byte of a row of the grid; then for each of them a byte of
// signs; then two more bits of each row; for each 16 weights a scale of four bits; value = d · (scale + ½) / 4 ·
// ±number.
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"
#include "quant_tensor/formats/blocks/grids.inl.h"
#include "quant_tensor/formats/blocks/iq2_xs.inl.h"

struct IQ2S {
  static constexpr const char* kName = "iq2_s";
  static constexpr int kGgmlType = 22, kWeights = 256, kBytes = 82, kGroup = 16, kBits = 2, kCodeBits = 7, kZero = 64;
  static constexpr auto& kGrid = kIQ2SGrid;
  static constexpr auto& kGridRows = kIQ2SRows;
  static constexpr auto& kGridNumbers = kIQ2Numbers;
  static constexpr int name_bit(int r, int b) { return b < 8 ? 8 * (2 + r) + b : 8 * 66 + 2 * r + b - 8; }
  static constexpr int sign_bit(int e) { return 8 * (34 + e); }

  static std::uint64_t row(const unsigned char* block, int r) {
    return row_of_eight(kGrid.v[block[2 + r] | (block[66 + r / 4] >> r % 4 * 2 & 3) << 8]);
  }
  static void signs(const unsigned char* block, std::uint8_t* signs) { __builtin_memcpy(signs, block + 34, 32); }
  static void codes(const unsigned char* block, std::uint8_t* codes) { grid_codes<IQ2S>(block, codes); }
  static void scales(const unsigned char* block, float* scale) { IQ2XS::quarter_scales(block, block + 74, scale); }

  using Parts = GridParts<32, 16>;
  static constexpr int kTopScale = 15, kShiftedRows = 0;
  static constexpr bool kEvenSigns = false;
  static void pack(const Parts& parts, unsigned char* block) {
    put_half(block, parts.d);
    unsigned char *low = block + 2, *signs = block + 34, *high = block + 66;
    for (int i = 0; i < 8; ++i) high[i] = 0;
    for (int i = 0; i < 32; ++i) {
      low[i] = static_cast<unsigned char>(parts.rows[i]);
      signs[i] = parts.marks[i];
      high[i / 4] |= static_cast<unsigned char>(parts.rows[i] >> 8 << i % 4 * 2);
    }
    pack_fours(parts.scales, 16, block + 74);
  }

  static constexpr int kUnitAt = 0;
  static constexpr float kUnitFactor = 0.125f;
  template <class S>
  static void lane_scales(const unsigned char* block, const LaneGroups&, S& scale) {
    scale = odd_halves(S::load(block + 66));
  }
};
