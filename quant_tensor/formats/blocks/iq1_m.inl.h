// GGUF IQ1_M: for each eight weights the low byte of a row of IQ1_S's grid; then four bits of each, three more of the
// row and whether an eighth is taken off or added; then 16 scales of three bits, in four pairs of bytes whose top
// halves together are an f16 d; value = d · (2 scale + 1) · (number ± ⅛).
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/grids.inl.h"
#include "quant_tensor/formats/blocks/iq1_s.inl.h"

struct IQ1M {
  static constexpr const char* kName = "iq1_m";
  static constexpr int kGgmlType = 29, kWeights = 256, kBytes = 56, kGroup = 16, kBits = 1, kCodeBits = 5, kZero = 16;
  static constexpr auto& kGrid = kIQ1Grid;
  static constexpr auto& kGridRows = kIQ1Rows;
  static constexpr auto& kGridNumbers = kIQ1Numbers;
  static constexpr int name_bit(int r, int b) { return b < 8 ? 8 * r + b : 8 * 32 + 4 * r + b - 8; }
  static constexpr int shift_bit(int r) { return 8 * 32 + 4 * r + 3; }

  static std::uint64_t row(const unsigned char* block, int r) {
    const int high = block[32 + r / 2] >> r % 2 * 4 & 15;
    return IQ1S::shifted(block[r] | (high & 7) << 8, high >> 3);
  }
  static void codes(const unsigned char* block, std::uint8_t* codes) { grid_codes<IQ1M>(block, codes); }
  static void scales(const unsigned char* block, float* scale) {
    const float eighth = unit(block);
    for (int g = 0; g < 16; ++g) {
      const int three = half_bits(block + 48 + g / 4 * 2) >> g % 4 * 3 & 7;
      scale[g] = eighth * static_cast<float>(2 * three + 1);
    }
  }

  static float unit(const unsigned char* block) {
    int bits = 0;
    for (int i = 0; i < 4; ++i) bits |= half_bits(block + 48 + 2 * i) >> 12 << 4 * i;
    return half_to_float(static_cast<std::uint16_t>(bits)) * 0.125f;
  }
  template <class S>
  static void lane_scales(const unsigned char* block, const LaneGroups& order, S& scale) {
    // A pair of bytes to four lanes: four times three bits come apart by halves.
    constexpr static LaneGroups kPairs = {{8, 9, 8, 9, 10, 11, 10, 11, 12, 13, 12, 13, 14, 15, 14, 15}};
    constexpr static LaneGroups kTwelve = {{255, 15, 0, 0, 255, 15, 0, 0, 255, 15, 0, 0, 255, 15, 0, 0}};
    constexpr static LaneGroups kSix = {{63, 0, 63, 0, 63, 0, 63, 0, 63, 0, 63, 0, 63, 0, 63, 0}};
    const S twelve = S::load(block + 40).pick(kPairs).bits(kTwelve);
    const S six = twelve.with(twelve.template up<10>()).bits(kSix);
    scale = six.with(six.template up<5>()).bits(7).pick(order).template up<1>().less(-1);
  }

  using Parts = GridParts<32, 16>;
  static constexpr int kTopScale = 7, kShiftedRows = 1;
  static constexpr bool kEvenSigns = false;
  static void pack(const Parts& parts, unsigned char* block) {
    unsigned char* high = block + 32;
    for (int i = 0; i < 16; ++i) high[i] = 0;
    for (int i = 0; i < 32; ++i) {
      block[i] = static_cast<unsigned char>(parts.rows[i]);
      high[i / 2] |= static_cast<unsigned char>((parts.rows[i] >> 8 | (parts.marks[i] & 1) << 3) << i % 2 * 4);
    }
    for (int i = 0; i < 4; ++i) {
      int bits = (parts.d >> 4 * i & 15) << 12;
      for (int g = 0; g < 4; ++g) bits |= parts.scales[4 * i + g] << 3 * g;
      put_half(block + 48 + 2 * i, static_cast<std::uint16_t>(bits));
    }
  }
};
