// GGUF IQ3_S: an f16 d; for each four weights the low byte of a row of the grid; then one more bit of each; a sign of
// each weight; for each 32 weights a scale of four bits; value = d · (2 scale + 1) · ±number.
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"
#include "quant_tensor/formats/blocks/grids.inl.h"

struct IQ3S {
  static constexpr const char* kName = "iq3_s";
  static constexpr int kGgmlType = 21, kWeights = 256, kBytes = 110, kGroup = 32, kBits = 3, kCodeBits = 5, kZero = 16;
  static constexpr auto& kGrid = kIQ3SGrid;
  static constexpr auto& kGridRows = kIQ3SRows;
  static constexpr auto& kGridNumbers = kIQ3SNumbers;
  static constexpr int name_bit(int r, int b) { return b < 8 ? 8 * (2 + r) + b : 8 * 66 + r; }
  static constexpr int sign_bit(int e) { return 8 * (74 + e); }

  static std::uint64_t row(const unsigned char* block, int r) {
    const int high = block[66 + r / 4] >> r % 4 * 2;
    return row_of_eight(kGrid.v[block[2 + 2 * r] | (high & 1) << 8], kGrid.v[block[3 + 2 * r] | (high & 2) << 7]);
  }
  static void signs(const unsigned char* block, std::uint8_t* signs) { __builtin_memcpy(signs, block + 74, 32); }
  static void codes(const unsigned char* block, std::uint8_t* codes) { grid_codes<IQ3S>(block, codes); }
  static void scales(const unsigned char* block, float* scale) {
    const float d = half_to_float(half_bits(block));
    for (int g = 0; g < 8; ++g) scale[g] = d * static_cast<float>(1 + 2 * (block[106 + g / 2] >> g % 2 * 4 & 15));
  }

  using Parts = GridParts<64, 8>;
  static constexpr int kTopScale = 15, kShiftedRows = 0;
  static constexpr bool kEvenSigns = false;
  static void pack(const Parts& parts, unsigned char* block) {
    put_half(block, parts.d);
    unsigned char *low = block + 2, *high = block + 66, *signs = block + 74;
    for (int i = 0; i < 8; ++i) high[i] = 0;
    for (int i = 0; i < 64; ++i) {
      low[i] = static_cast<unsigned char>(parts.rows[i]);
      high[i / 8] |= static_cast<unsigned char>(parts.rows[i] >> 8 << i % 8);
    }
    for (int i = 0; i < 32; ++i) signs[i] = parts.marks[i];
    pack_fours(parts.scales, 8, block + 106);
  }

  static constexpr int kUnitAt = 0;
  static constexpr float kUnitFactor = 1.f;
  template <class S>
  static void lane_scales(const unsigned char* block, const LaneGroups&, S& scale) {
    constexpr static LaneGroups kBytes = {{12, 12, 13, 13, 12, 12, 13, 13, 14, 14, 15, 15, 14, 14, 15, 15}};
    constexpr static LaneGroups kEven = {{15, 0, 15, 0, 15, 0, 15, 0, 15, 0, 15, 0, 15, 0, 15, 0}};
    constexpr static LaneGroups kOdd = {{0, 15, 0, 15, 0, 15, 0, 15, 0, 15, 0, 15, 0, 15, 0, 15}};
    const S both = S::load(block + 94).pick(kBytes), even = both.bits(kEven);
    scale = even.with(both.template down<4>().bits(kOdd)).template up<1>().less(-1);
  }
};
