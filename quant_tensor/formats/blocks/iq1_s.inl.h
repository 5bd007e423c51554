// GGUF IQ1_S: an f16 d; for each eight weights the low byte of a row of the grid; for each 32 weights two bytes of
// three more bits of each of its rows, a scale of three bits, and whether an eighth is taken off or added; value = d ·
// (2 scale + 1) · (number ± ⅛). Codes are eighths.
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"
#include "quant_tensor/formats/blocks/grids.inl.h"

struct IQ1S {
  static constexpr const char* kName = "iq1_s";
  static constexpr int kGgmlType = 19, kWeights = 256, kBytes = 50, kGroup = 32, kBits = 1, kCodeBits = 5, kZero = 16;
  static constexpr auto& kGrid = kIQ1Grid;
  static constexpr auto& kGridRows = kIQ1Rows;
  static constexpr auto& kGridNumbers = kIQ1Numbers;
  static constexpr int name_bit(int r, int b) {
    return b < 8 ? 8 * (2 + r) + b : 8 * 34 + r / 4 * 16 + r % 4 * 3 + b - 8;
  }
  static constexpr int shift_bit(int r) { return 8 * 34 + r / 4 * 16 + 15; }

  static std::uint64_t row(const unsigned char* block, int r) {
    const int bits = half_bits(block + 34 + r / 4 * 2);
    return shifted(block[2 + r] | (bits >> r % 4 * 3 & 7) << 8, bits >> 15);
  }
  static void codes(const unsigned char* block, std::uint8_t* codes) { grid_codes<IQ1S>(block, codes); }
  static void scales(const unsigned char* block, float* scale) {
    const float d = half_to_float(half_bits(block));
    for (int g = 0; g < 8; ++g) scale[g] = d * static_cast<float>(2 * (block[35 + 2 * g] >> 4 & 7) + 1) * 0.125f;
  }

  static constexpr int kUnitAt = 0;
  static constexpr float kUnitFactor = 0.125f;
  template <class S>
  static void lane_scales(const unsigned char* block, const LaneGroups&, S& scale) {
    constexpr static LaneGroups kBytes = {{1, 3, 5, 7, 1, 3, 5, 7, 9, 11, 13, 15, 9, 11, 13, 15}};
    scale = S::load(block + 34).pick(kBytes).template down<4>().bits(7).template up<1>().less(-1);
  }

  /// Eight numbers, an eighth more or (`less`, 1) less. Without a branch, which would be foretold half the time.
  static std::uint64_t shifted(int row, int less) {
    constexpr std::uint64_t kOnes = 0x0101010101010101;
    const std::uint64_t numbers = row_of_eight(kGrid.v[row]);
    return numbers + kOnes - (-static_cast<std::uint64_t>(less) & 2 * kOnes);
  }

  using Parts = GridParts<32, 8>;
  static constexpr int kTopScale = 7, kShiftedRows = 4;
  static constexpr bool kEvenSigns = false;
  static void pack(const Parts& parts, unsigned char* block) {
    put_half(block, parts.d);
    for (int g = 0; g < 8; ++g) {
      int bits = parts.scales[g] << 12 | (parts.marks[4 * g] & 1) << 15;
      for (int i = 0; i < 4; ++i) {
        block[2 + 4 * g + i] = static_cast<unsigned char>(parts.rows[4 * g + i]);
        bits |= parts.rows[4 * g + i] >> 8 << 3 * i;
      }
      put_half(block + 34 + 2 * g, static_cast<std::uint16_t>(bits));
    }
  }
};
