// GGUF IQ4_XS: an f16 d; high pairs of bits of eight scales, the first lowest; their low nibbles; then, for each of
// them, 16 bytes of nibbles as in IQ4_NL; value = d · (scale − 32) · kNonlinear[code].
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"
#include "quant_tensor/formats/blocks/tables.inl.h"

struct IQ4XS {
  static constexpr const char* kName = "iq4_xs";
  static constexpr int kGgmlType = 23, kWeights = 256, kBytes = 136, kGroup = 32, kBits = 4, kCodeBits = 8, kZero = 128;
  static constexpr auto& kTable = kNonlinear;
  static constexpr int kTopScale = 32;

  static void names(const unsigned char* block, std::uint8_t* __restrict names) {
    for (int g = 0; g < 8; ++g) unpack_nibbles(block + 8 + 16 * g, 16, names + 32 * g);
  }
  static void codes(const unsigned char* block, std::uint8_t* codes) { codes_of_names<IQ4XS>(block, codes); }
  static constexpr LaneGroups kLaneGroups = kHalvesBy16;
  template <class V>
  static void columns(const unsigned char* block, int p, V (&codes)[4]) {
    table_columns<IQ4XS>(V::load(block + 8, 64, p), V::load(block + 40, 64, p), codes);
  }

  static void scales(const unsigned char* block, float* __restrict scale) {
    const float d = half_to_float(half_bits(block));
    const int high = half_bits(block + 2);
    for (int g = 0; g < 8; ++g) {
      const int six = (block[4 + g / 2] >> g % 2 * 4 & 15) | (high >> 2 * g & 3) << 4;
      scale[g] = d * static_cast<float>(six - 32);
    }
  }

  static constexpr int kUnitAt = 0;
  /// In words whose first two bytes are scales w and w + 4.
  template <class S>
  static void lane_scales(const unsigned char* block, const LaneGroups& order, S& scale) {
    constexpr static LaneGroups kLow = {{4, 6, 4, 6, 4, 6, 4, 6, 5, 7, 5, 7, 5, 7, 5, 7}};
    constexpr static LaneGroups kHigh = {{2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3}};
    constexpr static LaneGroups kInTurn = {{0, 4, 8, 12, 1, 5, 9, 13}};
    const S packed = S::load(block), low = packed.pick(kLow).down(kHalvesInTurn).bits(15);
    const S high = packed.pick(kHigh).down(kPairsOfBits).bits(3).template up<4>();
    scale = low.with(high).less(32).pick(kInTurn).pick(order);
  }

  static void pack(const std::uint8_t* codes, const std::int8_t* scale, std::uint16_t d, unsigned char* block) {
    put_half(block, d);
    int high = 0;
    for (int g = 0; g < 8; ++g) high |= (scale[g] + 32) >> 4 << 2 * g;
    put_half(block + 2, static_cast<std::uint16_t>(high));
    for (int g = 0; g < 8; g += 2) {
      block[4 + g / 2] = static_cast<unsigned char>(((scale[g] + 32) & 15) | ((scale[g + 1] + 32) & 15) << 4);
    }
    for (int g = 0; g < 8; ++g) pack_nibbles(codes + 32 * g, 16, block + 8 + 16 * g);
  }
};
