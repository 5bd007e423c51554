// GGUF NVFP4: four scales of unsigned E4M3, each of 16 weights; then for each of them 8 bytes of nibbles, byte i that
// of weights i (low) and i + 8; value = scale / 2 · kTwiceE2M1[code].
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"
#include "quant_tensor/formats/blocks/tables.inl.h"

struct NVFP4 {
  static constexpr const char* kName = "nvfp4_gguf";
  static constexpr const char* kKind = "nvfp4";
  static constexpr int kGgmlType = 40, kWeights = 64, kBytes = 36, kGroup = 16, kBits = 4, kCodeBits = 5, kZero = 12;
  static constexpr auto& kTable = kTwiceE2M1;
  static constexpr bool kHasFloats = true;

  static void names(const unsigned char* block, std::uint8_t* __restrict names) {
    for (int g = 0; g < 4; ++g) unpack_nibbles(block + 4 + 8 * g, 8, names + 16 * g);
  }
  static void codes(const unsigned char* block, std::uint8_t* codes) { codes_of_names<NVFP4>(block, codes); }
  static constexpr LaneGroups kLaneGroups = kAllInOrder;
  template <class V>
  static void columns(const unsigned char* block, int p, V (&codes)[4]) {
    const V a = V::load(block + 4, kBytes, 2 * kBytes, p), b = V::load(block + 20, kBytes, 2 * kBytes, p);
    const V even = V::even_words(a, b), odd = V::odd_words(a, b);
    const V nibbles[4] = {even, odd, even.template down<4>(), odd.template down<4>()};
#pragma GCC unroll 4
    for (int t = 0; t < 4; ++t) codes[t] = nibbles[t].bits(15).numbers(kNumbersOf<NVFP4>);
  }
  static void scales(const unsigned char* block, float* __restrict scale) {
    for (int g = 0; g < 4; ++g) scale[g] = half_of_e4m3(block[g]);
  }

  static constexpr float kHalfUnit = 0x1p7f;  ///< E4M3's exponent is 8 too small for f16
  template <class S>
  static void lane_scales(const unsigned char* block, S& scale) {
    scale = S::words(block, kBytes).bits(127).unless(127);
  }
  /// The sign bit says nothing, and the byte that is NaN elsewhere is zero.
  static float half_of_e4m3(int bits) {
    const int exponent = bits >> 3 & 15, mantissa = bits & 7;
    if (bits == 0x7f) return 0;
    if (exponent == 0) return static_cast<float>(mantissa) * 0x1p-10f;
    return static_cast<float>(8 + mantissa) *
           __builtin_bit_cast(float, static_cast<std::uint32_t>(exponent + 116) << 23);
  }
};
