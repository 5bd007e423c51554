// GGUF IQ2_XXS: an f16 d; for each 32 weights four rows of the grid, of eight weights, then a word of four times seven
// signs and, on top, a scale of four bits; value = d · (scale + ½) / 4 · ±number.
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/grids.inl.h"

struct IQ2XXS {
  static constexpr const char* kName = "iq2_xxs";
  static constexpr int kGgmlType = 16, kWeights = 256, kBytes = 66, kGroup = 32, kBits = 2, kCodeBits = 7, kZero = 64;
  static constexpr auto& kGrid = kIQ2XXSGrid;

  static void codes(const unsigned char* block, std::uint8_t* codes) {
    const unsigned char* q = block + 2;
    for (int g = 0; g < 8; ++g, q += 8) {
      const std::uint32_t signs = word_bits(q + 4);
      for (int i = 0; i < 4; ++i, codes += 8)
        put_signed<kZero>(kGrid.v[q[i]], eight_signs(signs >> 7 * i & 127), codes);
    }
  }
  static void scales(const unsigned char* block, float* scale) {
    const float d = half_to_float(half_bits(block));
    for (int g = 0; g < 8; ++g) scale[g] = d * (0.5f + static_cast<float>(block[9 + 8 * g] >> 4)) * 0.25f;
  }
};
