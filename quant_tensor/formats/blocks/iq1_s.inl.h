// GGUF IQ1_S: an f16 d; for each eight weights the low byte of a row of the grid; for each 32 weights two bytes of
// three more bits of each of its rows, a scale of three bits, and whether an eighth is taken off or added; value = d ·
// (2 scale + 1) · (number ± ⅛). Codes are eighths.
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/grids.inl.h"

struct IQ1S {
  static constexpr const char* kName = "iq1_s";
  static constexpr int kGgmlType = 19, kWeights = 256, kBytes = 50, kGroup = 32, kBits = 1, kCodeBits = 5, kZero = 16;
  static constexpr auto& kGrid = kIQ1Grid;

  static void codes(const unsigned char* block, std::uint8_t* codes) {
    const unsigned char *low = block + 2, *high = block + 34;
    for (int i = 0; i < 32; ++i, codes += 8) {
      const int bits = half_bits(high + i / 4 * 2);
      put_shifted(kGrid.v[low[i] | (bits >> i % 4 * 3 & 7) << 8], bits >> 15, codes);
    }
  }
  static void scales(const unsigned char* block, float* scale) {
    const float d = half_to_float(half_bits(block));
    for (int g = 0; g < 8; ++g) scale[g] = d * static_cast<float>(2 * (block[35 + 2 * g] >> 4 & 7) + 1) * 0.125f;
  }

  /// Eight numbers, an eighth more or (`less`) less.
  static void put_shifted(const std::uint8_t (&row)[8], int less, std::uint8_t* __restrict codes) {
    for (int i = 0; i < 8; ++i) codes[i] = static_cast<std::uint8_t>(row[i] + 1 - 2 * less);
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
