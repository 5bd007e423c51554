// How Q4_K and Q5_K store eight scales and minima of six bits in 12 bytes: of the first four, bytes 0 … 3 and 4 … 7 in
// full; of the last four, low halves together in bytes 8 … 11 and high bits on top of those of the first.
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"

struct SixBitScales {
  static int scale(const unsigned char* p, int g) { return g < 4 ? p[g] & 63 : (p[g + 4] & 15) | p[g - 4] >> 6 << 4; }
  static int minimum(const unsigned char* p, int g) { return g < 4 ? p[g + 4] & 63 : p[g + 4] >> 4 | p[g] >> 6 << 4; }

  /// Begins a block: f16 d and dmin, then these.
  static void to_block(const std::uint8_t* scale, const std::uint8_t* minimum, std::uint16_t d, std::uint16_t dmin,
                       unsigned char* block) {
    put_half(block, d);
    put_half(block + 2, dmin);
    unsigned char* p = block + 4;
    for (int g = 0; g < 4; ++g) {
      p[g] = static_cast<unsigned char>(scale[g] | scale[g + 4] >> 4 << 6);
      p[g + 4] = static_cast<unsigned char>(minimum[g] | minimum[g + 4] >> 4 << 6);
      p[g + 8] = static_cast<unsigned char>((scale[g + 4] & 15) | (minimum[g + 4] & 15) << 4);
    }
  }

  /// Those of a block that begins so.
  static void of_block(const unsigned char* block, float* __restrict scale, float* __restrict bias) {
    const float d = half_to_float(half_bits(block)), dmin = half_to_float(half_bits(block + 2));
    for (int g = 0; g < 8; ++g) {
      scale[g] = d * static_cast<float>(SixBitScales::scale(block + 4, g));
      bias[g] = -(dmin * static_cast<float>(minimum(block + 4, g)));
    }
  }

  /// All sixteen at once: eight scales, then eight minima.
  template <class S>
  static void of_lanes(const unsigned char* block, const LaneGroups& order, S& scale, S& minimum) {
    constexpr static LaneGroups kLow = {{4, 5, 6, 7, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15}};
    constexpr static LaneGroups kHigh = {{0, 0, 0, 0, 4, 5, 6, 7, 0, 0, 0, 0, 8, 9, 10, 11}};
    constexpr static LaneGroups kLowBits = {{63, 63, 63, 63, 15, 15, 15, 15, 63, 63, 63, 63}};
    constexpr static LaneGroups kShiftedBits = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 15, 15, 15}};
    constexpr static LaneGroups kHighBits = {{0, 0, 0, 0, 48, 48, 48, 48, 0, 0, 0, 0, 48, 48, 48, 48}};
    const S packed = S::load(block), low = packed.pick(kLow);
    const S high = packed.pick(kHigh).template down<2>().bits(kHighBits);
    const S six = low.bits(kLowBits).with(low.template down<4>().bits(kShiftedBits)).with(high);
    constexpr static LaneGroups kLast = {{8, 9, 10, 11, 12, 13, 14, 15}};
    scale = six.pick(order);
    minimum = six.pick(kLast).pick(order);
  }
};
