// GGUF IQ2_XS: an f16 d; for each eight weights nine bits of a row of the grid and seven of signs; for each 16 weights
// a scale of four bits; value = d · (scale + ½) / 4 · ±number.
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"
#include "quant_tensor/formats/blocks/grids.inl.h"

struct IQ2XS {
  static constexpr const char* kName = "iq2_xs";
  static constexpr int kGgmlType = 17, kWeights = 256, kBytes = 74, kGroup = 16, kBits = 2, kCodeBits = 7, kZero = 64;
  static constexpr auto& kGrid = kIQ2XSGrid;
  static constexpr auto& kGridRows = kIQ2XSRows;
  static constexpr auto& kGridNumbers = kIQ2Numbers;
  static constexpr int name_bit(int r, int b) { return 8 * 2 + 16 * r + b; }
  static constexpr int sign_bit(int e) { return 8 * 2 + 16 * e + 9; }

  static std::uint64_t row(const unsigned char* block, int r) {
    return row_of_eight(kGrid.v[half_bits(block + 2 + 2 * r) & 511]);
  }
  static void signs(const unsigned char* block, std::uint8_t* signs) {
    for (int r = 0; r < 32; ++r)
      signs[r] = static_cast<std::uint8_t>(with_eighth_signs(half_bits(block + 2 + 2 * r) >> 9));
  }
  static void codes(const unsigned char* block, std::uint8_t* codes) { grid_codes<IQ2XS>(block, codes); }
  static void scales(const unsigned char* block, float* scale) { quarter_scales(block, block + 66, scale); }

  static constexpr int kUnitAt = 0;
  static constexpr float kUnitFactor = 0.125f;
  template <class S>
  static void lane_scales(const unsigned char* block, const LaneGroups&, S& scale) {
    scale = odd_halves(S::load(block + 58));
  }

  /// 16 scales of four bits, the low half of a byte first.
  static void quarter_scales(const unsigned char* d_bits, const unsigned char* packed, float* scale) {
    const float d = half_to_float(half_bits(d_bits));
    for (int g = 0; g < 16; ++g) {
      scale[g] = d * (0.5f + static_cast<float>(packed[g / 2] >> g % 2 * 4 & 15)) * 0.25f;
    }
  }

  using Parts = GridParts<32, 16>;
  static constexpr int kTopScale = 15, kShiftedRows = 0;
  static constexpr bool kEvenSigns = true;
  static void pack(const Parts& parts, unsigned char* block) {
    put_half(block, parts.d);
    for (int i = 0; i < 32; ++i) {
      put_half(block + 2 + 2 * i, static_cast<std::uint16_t>(parts.rows[i] | (parts.marks[i] & 127) << 9));
    }
    pack_fours(parts.scales, 16, block + 66);
  }
};
