// GGUF Q6_K: 128 bytes of low nibbles, 64 bytes of high pairs of bits, 16 signed scales, an f16 d;
// value = d · scale · (code − 32). Of each 64 bytes of nibbles and 32 of pairs, weights 32s … 32s + 31 are nibble s / 2
// of bytes 32 (s % 2) on, and pair s.
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"

struct Q6K {
  static constexpr const char* kName = "q6_k";
  static constexpr int kGgmlType = 14, kWeights = 256, kBytes = 210, kGroup = 16, kBits = 6, kCodeBits = 6, kZero = 32;
  static constexpr int kTopScale = 128;

  static void codes(const unsigned char* block, std::uint8_t* __restrict codes) {
    for (int s = 0; s < 8; ++s, codes += 32) {
      const unsigned char *low = block + s / 4 * 64 + s % 2 * 32, *high = block + 128 + s / 4 * 32;
      const int nibble = s % 4 / 2 * 4, pair = s % 4 * 2;
      for (int i = 0; i < 32; ++i) {
        codes[i] = static_cast<std::uint8_t>((low[i] >> nibble & 15) | (high[i] >> pair & 3) << 4);
      }
    }
  }
  static constexpr LaneGroups kLaneGroups = kInOrder;
  template <class V>
  static void columns(const unsigned char* block, int p, V (&codes)[4]) {
    constexpr static LaneShifts kPairs = {{0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2}};
    nibble_columns(V::load(block, 64, p), V::load(block + 32, 64, p), codes);
    const V high = V::load(block + 128, 32, p), low = high.template up<4>();  // pairs 2 and 3, 0 and 1 at bit 4
    V pairs[4];
    V::low_pairs(low, high).doubled(pairs[0], pairs[1]);
    V::high_pairs(low, high).doubled(pairs[2], pairs[3]);
#pragma GCC unroll 4
    for (int t = 0; t < 4; ++t) codes[t] = codes[t].with(pairs[t].down(kPairs, p), 0x30);
  }

  static void scales(const unsigned char* block, float* __restrict scale) {
    const float d = half_to_float(half_bits(block + 208));
    for (int g = 0; g < 16; ++g) scale[g] = d * static_cast<float>(static_cast<std::int8_t>(block[192 + g]));
  }

  static constexpr int kUnitAt = 208;
  template <class S>
  static void lane_scales(const unsigned char* block, const LaneGroups& order, S& scale) {
    scale = S::load(block + 192).pick(order);
  }

  static void pack(const std::uint8_t* codes, const std::int8_t* scale, std::uint16_t d, unsigned char* block) {
    for (int i = 0; i < 192; ++i) block[i] = 0;
    for (int k = 0; k < kWeights; ++k) {
      const int s = k / 32, i = k % 32;
      unsigned char &low = block[s / 4 * 64 + s % 2 * 32 + i], &high = block[128 + s / 4 * 32 + i];
      low = static_cast<unsigned char>(low | (codes[k] & 15) << s % 4 / 2 * 4);
      high = static_cast<unsigned char>(high | (codes[k] >> 4) << s % 4 * 2);
    }
    for (int g = 0; g < 16; ++g) block[192 + g] = static_cast<unsigned char>(scale[g]);
    put_half(block + 208, d);
  }
};
