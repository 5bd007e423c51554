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
  /// Of a group of 16 first all low halves of bytes, then all high ones.
  static constexpr LaneGroups kOrder = {{0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15}};
  static constexpr LaneGroups kLaneGroups = kPairsOfWords;
  template <class V>
  static void columns(const unsigned char* in, int p, V (&codes)[4]) {
    halves_of_columns(in, p, codes);
#pragma GCC unroll 4
    for (V& code : codes) code = code.numbers(kTwiceE2M1Numbers);
  }
  static void put(std::uint8_t code, int i, unsigned char* stream) {
    stream[i / 2] = static_cast<unsigned char>(i % 2 == 0 ? code : stream[i / 2] | code << 4);
  }
};
