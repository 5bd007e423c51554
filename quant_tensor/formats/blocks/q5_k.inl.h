// GGUF Q5_K: Q4_K with 32 bytes of fifth bits before the nibbles, bit s of byte i that of weight 32s + i.
#pragma once

#include "quant_tensor/formats/blocks/columns.inl.h"
#include "quant_tensor/formats/blocks/six_bit_scales.inl.h"

struct Q5K {
  static constexpr const char* kName = "q5_k";
  static constexpr int kGgmlType = 13, kWeights = 256, kBytes = 176, kGroup = 32, kBits = 5, kCodeBits = 5, kZero = 0;
  static constexpr int kTopScale = 63;

  static void codes(const unsigned char* block, std::uint8_t* __restrict codes) {
    const unsigned char *high = block + 16, *q = block + 48;
    for (int s = 0; s < 8; ++s, codes += 32) {
      const unsigned char* low = q + s / 2 * 32;
      for (int i = 0; i < 32; ++i) {
        codes[i] = static_cast<std::uint8_t>((low[i] >> s % 2 * 4 & 15) | (high[i] >> s & 1) << 4);
      }
    }
  }
  static constexpr LaneGroups kLaneGroups = kHalvesBy32;
  template <class V>
  static void columns(const unsigned char* block, int p, V (&codes)[4]) {
    constexpr static LaneShifts kPlaces = {{0, 2, 1, 3, 0, 2, 1, 3, 0, 2, 1, 3, 0, 2, 1, 3}};
    nibble_columns(V::load(block + 48, 64, p), V::load(block + 80, 64, p), codes);
    add_bit<4>(block + 16, kPlaces, p, codes);
  }

  static void scales(const unsigned char* block, float* scale, float* bias) {
    SixBitScales::of_block(block, scale, bias);
  }

  static constexpr int kUnitAt = 0;
  template <class S>
  static void lane_scales(const unsigned char* block, const LaneGroups& order, S& scale, S& minimum) {
    SixBitScales::of_lanes(block, order, scale, minimum);
  }

  static void pack(const std::uint8_t* codes, const std::uint8_t* scale, const std::uint8_t* minimum, std::uint16_t d,
                   std::uint16_t dmin, unsigned char* block) {
    SixBitScales::to_block(scale, minimum, d, dmin, block);
    for (int i = 16; i < kBytes; ++i) block[i] = 0;
    for (int k = 0; k < kWeights; ++k) {
      const int s = k / 32, i = k % 32;
      unsigned char &high = block[16 + i], &low = block[48 + s / 2 * 32 + i];
      high = static_cast<unsigned char>(high | (codes[k] >> 4) << s);
      low = static_cast<unsigned char>(low | (codes[k] & 15) << s % 2 * 4);
    }
  }
};
