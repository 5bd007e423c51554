// GGUF IQ2_XXS: an f16 d; for each 32 weights four rows of the grid, of eight weights, then a word of four times seven
// signs and, on top, a scale of four bits; value = d · (scale + ½) / 4 · ±number.
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"
#include "quant_tensor/formats/blocks/grids.inl.h"

struct IQ2XXS {
  static constexpr const char* kName = "iq2_xxs";
  static constexpr int kGgmlType = 16, kWeights = 256, kBytes = 66, kGroup = 32, kBits = 2, kCodeBits = 7, kZero = 64;
  static constexpr auto& kGrid = kIQ2XXSGrid;
  static constexpr auto& kGridRows = kIQ2XXSRows;
  static constexpr auto& kGridNumbers = kIQ2Numbers;
  static constexpr int name_bit(int r, int b) { return 8 * (2 + r / 4 * 8 + r % 4) + b; }
  static constexpr int sign_bit(int e) { return 8 * (6 + e / 4 * 8) + e % 4 * 7; }

  static std::uint64_t row(const unsigned char* block, int r) {
    return row_of_eight(kGrid.v[block[2 + r / 4 * 8 + r % 4]]);
  }
  static void signs(const unsigned char* block, std::uint8_t* signs) {
    for (int g = 0; g < 8; ++g) {
      const std::uint32_t four = signs_of_32(word_bits(block + 6 + 8 * g));
      __builtin_memcpy(signs + 4 * g, &four, 4);
    }
  }
  static void codes(const unsigned char* block, std::uint8_t* codes) { grid_codes<IQ2XXS>(block, codes); }
  static void scales(const unsigned char* block, float* scale) {
    const float d = half_to_float(half_bits(block));
    for (int g = 0; g < 8; ++g) scale[g] = d * (0.5f + static_cast<float>(block[9 + 8 * g] >> 4)) * 0.25f;
  }

  using Parts = GridParts<32, 8>;
  static constexpr int kTopScale = 15, kShiftedRows = 0;
  static constexpr bool kEvenSigns = true;
  static void pack(const Parts& parts, unsigned char* block) {
    put_half(block, parts.d);
    unsigned char* q = block + 2;
    for (int g = 0; g < 8; ++g, q += 8) {
      std::uint32_t word = static_cast<std::uint32_t>(parts.scales[g]) << 28;
      for (int i = 0; i < 4; ++i) {
        q[i] = static_cast<unsigned char>(parts.rows[4 * g + i]);
        word |= (parts.marks[4 * g + i] & 127u) << 7 * i;
      }
      put_word(q + 4, word);
    }
  }

  static constexpr int kUnitAt = 0;
  static constexpr float kUnitFactor = 0.125f;
  template <class S>
  static void lane_scales(const unsigned char* block, const LaneGroups&, S& scale) {
    scale = odd_tops(S::words(block + 6, 8), S::words(block + 38, 8));
  }
};
