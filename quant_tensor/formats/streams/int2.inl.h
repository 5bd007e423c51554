// Signed integers of two bits, and a scale in the weight's own float type for each 64 of them; value = scale · (code −
// 2). Nobody else defines it.
#pragma once

#include "quant_tensor/formats/streams/own_scales.inl.h"

struct Int2 : OwnScales {
  static constexpr const char* kName = "int2";
  static constexpr const char* kSpecification = "nibble: quant_tensor/formats/streams/int2.inl.h";
  static constexpr int kBits = 2, kGroup = 64, kCodeBits = 2, kZero = 2;
  static constexpr float kUnit = 1;

  static float number(const unsigned char* stream, std::int64_t i) {
    return static_cast<float>(pair_at(stream, static_cast<int>(i)) - kZero);
  }
  static void codes(const unsigned char* stream, std::int64_t count, std::uint8_t* __restrict codes) {
    for (std::int64_t at = 0; at < count; at += 16, stream += 4, codes += 16) {
      for (int i = 0; i < 16; ++i) codes[i] = static_cast<std::uint8_t>(pair_at(stream, i));
    }
  }
  static void put(int code, int i, unsigned char* stream) { put_pair(code, i, stream); }

  static constexpr LaneGroups kLaneGroups = kAllInOrder;
  template <class V>
  static void columns(const unsigned char* in, int p, V (&codes)[4]) {
    pairs_of_words(V::load(in, 16, 32, p), codes);
  }
};
