// GGUF Q3_K: 32 bytes of third bits, bit s of byte i that of weight 32s + i; 64 bytes of low bits as in Q2_K; 12 bytes
// of 16 scales of six bits; an f16 d; value = d · (scale − 32) · (code − 4).
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"

struct Q3K {
  static constexpr const char* kName = "q3_k";
  static constexpr int kGgmlType = 11, kWeights = 256, kBytes = 110, kGroup = 16, kBits = 3, kCodeBits = 3, kZero = 4;
  static constexpr int kTopScale = 32;

  static void codes(const unsigned char* block, std::uint8_t* __restrict codes) {
    for (int s = 0; s < 8; ++s, codes += 32) {
      const unsigned char* q = block + 32 + s / 4 * 32;
      for (int i = 0; i < 32; ++i) {
        codes[i] = static_cast<std::uint8_t>((q[i] >> 2 * (s % 4) & 3) | (block[i] >> s & 1) << 2);
      }
    }
  }
  static constexpr LaneGroups kLaneGroups = kInOrder;
  template <class V>
  static void columns(const unsigned char* block, int p, V (&codes)[4]) {
    constexpr static LaneShifts kPlaces = {{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3}};
    pair_columns(block + 32, p, codes);
    add_bit<2>(block, kPlaces, p, codes);
  }

  /// Low halves of scales g and g + 8 share a byte, high halves of g, g + 4, g + 8 and g + 12.
  static void scales(const unsigned char* block, float* __restrict scale) {
    const float d = half_to_float(half_bits(block + 108));
    const unsigned char* packed = block + 96;
    for (int g = 0; g < 16; ++g) {
      const int low = packed[g % 8] >> g / 8 * 4 & 15, high = packed[8 + g % 4] >> g / 4 * 2 & 3;
      scale[g] = d * static_cast<float>((low | high << 4) - 32);
    }
  }

  static constexpr int kUnitAt = 108;
  template <class S>
  static void lane_scales(const unsigned char* block, const LaneGroups& order, S& scale) {
    constexpr static LaneGroups kLow = {{2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5, 6, 7, 8, 9}};
    constexpr static LaneGroups kHigh = {{10, 11, 12, 13, 10, 11, 12, 13, 10, 11, 12, 13, 10, 11, 12, 13}};
    constexpr static LaneGroups kFirst = {{15, 15, 15, 15, 15, 15, 15, 15}};
    constexpr static LaneGroups kSecond = {{0, 0, 0, 0, 0, 0, 0, 0, 15, 15, 15, 15, 15, 15, 15, 15}};
    const S packed = S::load(block + 94), low = packed.pick(kLow);  // with the two bytes on either side
    const S high = packed.pick(kHigh).down(kPairsOfBits).bits(3).template up<4>();
    scale = low.bits(kFirst).with(low.template down<4>().bits(kSecond)).with(high).less(32).pick(order);
  }

  static void pack(const std::uint8_t* codes, const std::int8_t* scale, std::uint16_t d, unsigned char* block) {
    for (int i = 0; i < 108; ++i) block[i] = 0;
    for (int k = 0; k < kWeights; ++k) {
      const int s = k / 32, i = k % 32;
      block[i] = static_cast<unsigned char>(block[i] | (codes[k] >> 2) << s);
      unsigned char& q = block[32 + s / 4 * 32 + i];
      q = static_cast<unsigned char>(q | (codes[k] & 3) << 2 * (s % 4));
    }
    unsigned char* packed = block + 96;
    for (int g = 0; g < 16; ++g) {
      const int six = scale[g] + 32;
      packed[g % 8] = static_cast<unsigned char>(packed[g % 8] | (six & 15) << g / 8 * 4);
      packed[8 + g % 4] = static_cast<unsigned char>(packed[8 + g % 4] | (six >> 4) << g / 4 * 2);
    }
    put_half(block + 108, d);
  }
};
