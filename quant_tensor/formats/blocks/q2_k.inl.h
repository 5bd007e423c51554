// GGUF Q2_K: 16 bytes of a 4-bit scale (low) and minimum (high) for each 16 weights, 64 bytes of codes, f16 d and dmin;
// value = d · scale · code − dmin · minimum.
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"

struct Q2K {
  static constexpr const char* kName = "q2_k";
  static constexpr int kGgmlType = 10, kWeights = 256, kBytes = 84, kGroup = 16, kBits = 2, kCodeBits = 2, kZero = 0;
  static constexpr int kTopScale = 15;

  static void codes(const unsigned char* block, std::uint8_t* codes) { pairs_of_bits(block + 16, codes); }
  static constexpr LaneGroups kLaneGroups = kInOrder;
  template <class V>
  static void columns(const unsigned char* block, int p, V (&codes)[4]) {
    pair_columns(block + 16, p, codes);
  }

  static void scales(const unsigned char* block, float* __restrict scale, float* __restrict bias) {
    const float d = half_to_float(half_bits(block + 80)), dmin = half_to_float(half_bits(block + 82));
    for (int g = 0; g < 16; ++g) {
      scale[g] = d * static_cast<float>(block[g] & 15);
      bias[g] = -(dmin * static_cast<float>(block[g] >> 4));
    }
  }

  static constexpr int kUnitAt = 80;
  template <class S>
  static void lane_scales(const unsigned char* block, const LaneGroups& order, S& scale, S& minimum) {
    const S both = S::load(block).pick(order);
    scale = both.bits(15);
    minimum = both.template down<4>().bits(15);
  }

  static void pack(const std::uint8_t* codes, const std::uint8_t* scale, const std::uint8_t* minimum, std::uint16_t d,
                   std::uint16_t dmin, unsigned char* block) {
    for (int g = 0; g < 16; ++g) block[g] = static_cast<unsigned char>(scale[g] | minimum[g] << 4);
    pack_pairs_of_bits(codes, block + 16);
    put_half(block + 80, d);
    put_half(block + 82, dmin);
  }
};
