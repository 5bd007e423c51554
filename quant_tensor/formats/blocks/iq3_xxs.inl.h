// GGUF IQ3_XXS: an f16 d; for each four weights a row of the grid; for each 32 weights a word of four times seven signs
// and, on top, a scale of four bits; value = d · (scale + ½) / 2 · ±number.
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"
#include "quant_tensor/formats/blocks/grids.inl.h"

struct IQ3XXS {
  static constexpr const char* kName = "iq3_xxs";
  static constexpr int kGgmlType = 18, kWeights = 256, kBytes = 98, kGroup = 32, kBits = 3, kCodeBits = 7, kZero = 64;
  static constexpr auto& kGrid = kIQ3XXSGrid;
  static constexpr auto& kGridRows = kIQ3XXSRows;
  static constexpr auto& kGridNumbers = kIQ3XXSNumbers;
  static constexpr int name_bit(int r, int b) { return 8 * (2 + r) + b; }
  static constexpr int sign_bit(int e) { return 8 * (66 + e / 4 * 4) + e % 4 * 7; }

  static std::uint64_t row(const unsigned char* block, int r) {
    return row_of_eight(kGrid.v[block[2 + 2 * r]], kGrid.v[block[3 + 2 * r]]);
  }
  static void signs(const unsigned char* block, std::uint8_t* signs) {
    for (int g = 0; g < 8; ++g) {
      const std::uint32_t four = signs_of_32(word_bits(block + 66 + 4 * g));
      __builtin_memcpy(signs + 4 * g, &four, 4);
    }
  }
  static void codes(const unsigned char* block, std::uint8_t* codes) { grid_codes<IQ3XXS>(block, codes); }
  static void scales(const unsigned char* block, float* scale) {
    const float d = half_to_float(half_bits(block));
    for (int g = 0; g < 8; ++g) scale[g] = d * (0.5f + static_cast<float>(block[69 + 4 * g] >> 4)) * 0.5f;
  }

  using Parts = GridParts<64, 8>;
  static constexpr int kTopScale = 15, kShiftedRows = 0;
  static constexpr bool kEvenSigns = true;
  static void pack(const Parts& parts, unsigned char* block) {
    put_half(block, parts.d);
    for (int i = 0; i < 64; ++i) block[2 + i] = static_cast<unsigned char>(parts.rows[i]);
    for (int g = 0; g < 8; ++g) {
      std::uint32_t word = static_cast<std::uint32_t>(parts.scales[g]) << 28;
      for (int i = 0; i < 4; ++i) word |= (parts.marks[4 * g + i] & 127u) << 7 * i;
      put_word(block + 66 + 4 * g, word);
    }
  }

  static constexpr int kUnitAt = 0;
  static constexpr float kUnitFactor = 0.25f;
  template <class S>
  static void lane_scales(const unsigned char* block, const LaneGroups&, S& scale) {
    scale = odd_tops(S::load(block + 66), S::load(block + 82));
  }
};
