// Streams of E2M1, of two in a byte the first one low.
#pragma once

#include "quant_tensor/formats/blocks/columns.inl.h"
#include "quant_tensor/formats/streams/small_floats.inl.h"

/// Twice its numbers, all integers, plus 12.
constexpr Numbers kTwiceE2M1Numbers = {{12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0}};

/// Twice the numbers are integers: number == kUnit · (code − kZero).
struct E2M1Stream {
  static constexpr const char* kSpecification = "ml-explore/mlx: mx.quantize";
  static constexpr int kBits = 4, kCodeBits = 5, kZero = 12;
  static constexpr bool kHasOwnScales = false, kInWords = true;
  static constexpr float kUnit = 0.5f;

  static float number(const unsigned char* stream, std::int64_t i) { return kE2M1[stream[i / 2] >> i % 2 * 4 & 15]; }

  /// Twice the size is c, 2c − 4 or 4c − 16, whichever is most.
  static std::uint8_t centred(int code) {
    const int c = code & 7, twice = c > 2 * c - 4 ? c : 2 * c - 4, size = twice > 4 * c - 16 ? twice : 4 * c - 16;
    return static_cast<std::uint8_t>(code & 8 ? kZero - size : kZero + size);
  }
  static void codes(const unsigned char* stream, std::int64_t count, std::uint8_t* __restrict codes) {
    for (std::int64_t i = 0; i < count / 2; ++i) {
      codes[2 * i] = centred(stream[i] & 15);
      codes[2 * i + 1] = centred(stream[i] >> 4);
    }
  }
  /// A word has eight weights; two words, in a lane of 128 bits side by side with two others, are a group of 16.
  static constexpr LaneGroups kLaneGroups = {{0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15}};
  template <class V>
  static void columns(const unsigned char* in, int p, V (&codes)[4]) {
    const V a = V::load(in, 32, p), b = V::load(in + 64, 32, p);
    const V low[2] = {a.bits(15), b.bits(15)};
    const V high[2] = {a.template down<4>().bits(15), b.template down<4>().bits(15)};
    const V groups[4] = {V::low_bytes(low[0], high[0]), V::high_bytes(low[0], high[0]), V::low_bytes(low[1], high[1]),
                         V::high_bytes(low[1], high[1])};
    transpose_groups(groups, codes);
    for (V& code : codes) code = code.numbers(kTwiceE2M1Numbers);
  }
  static void put(std::uint8_t code, int i, unsigned char* stream) {
    stream[i / 2] = static_cast<unsigned char>(i % 2 == 0 ? code : stream[i / 2] | code << 4);
  }
};
