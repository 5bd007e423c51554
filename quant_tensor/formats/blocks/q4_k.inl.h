// GGUF Q4_K: f16 d and dmin, 12 bytes of eight 6-bit scales and minima, 128 bytes of nibbles;
// value = d · scale · code − dmin · minimum. Of each 32 bytes of codes, low nibbles are 32 weights, high ones the next.
#pragma once

#include "quant_tensor/formats/blocks/columns.inl.h"
#include "quant_tensor/formats/blocks/six_bit_scales.inl.h"

struct Q4K {
  static constexpr const char* kName = "q4_k";
  static constexpr int kGgmlType = 12, kWeights = 256, kBytes = 144, kGroup = 32, kBits = 4, kCodeBits = 4, kZero = 0;
  static constexpr int kTopScale = 63;

  static void codes(const unsigned char* block, std::uint8_t* __restrict codes) {
    const unsigned char* q = block + 16;
    for (int pair = 0; pair < 4; ++pair, q += 32, codes += 64) {
      for (int i = 0; i < 32; ++i) codes[i] = q[i] & 15;
      for (int i = 0; i < 32; ++i) codes[i + 32] = q[i] >> 4;
    }
  }
  static constexpr LaneGroups kLaneGroups = kHalvesBy32;
  template <class V>
  static void columns(const unsigned char* block, int p, V (&codes)[4]) {
    nibble_columns(V::load(block + 16, 64, p), V::load(block + 48, 64, p), codes);
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
    unsigned char* q = block + 16;
    for (int pair = 0; pair < 4; ++pair, q += 32, codes += 64) pack_nibbles(codes, 32, q);
  }
};
