// What streams share whose scales have the weight's own float type.
#pragma once

#include "quant_tensor/formats/blocks/columns.inl.h"
#include "quant_tensor/formats/streams/small_floats.inl.h"

struct OwnScales {
  static constexpr bool kHasGlobal = false, kHasOwnScales = true, kInWords = false;

  template <class Row>
  static float scale(const Row& row, std::int64_t group) {
    return own_scale(row, 1, group);
  }
};

/// Codes of two bits: a word has 16 weights, four in the lowest bits of its bytes, the next four in the bits above.
inline int pair_at(const unsigned char* words, int i) { return words[i / 16 * 4 + i % 4] >> i % 16 / 4 * 2 & 3; }
inline void put_pair(int code, int i, unsigned char* words) {
  unsigned char& byte = words[i / 16 * 4 + i % 4];
  const int kept = i % 16 < 4 ? 0 : byte;
  byte = static_cast<unsigned char>(kept | code << i % 16 / 4 * 2);
}
/// One bit of each weight: a word has 32 of them, those of the second 16 in the high halves of its bytes.
inline int bit_at(const unsigned char* words, int i) {
  return words[i / 32 * 4 + i % 4] >> (i % 32 / 16 * 4 + i % 16 / 4) & 1;
}
inline void put_bit(int bit, int i, unsigned char* words) {
  unsigned char& byte = words[i / 32 * 4 + i % 4];
  const int kept = i % 32 < 4 ? 0 : byte;
  byte = static_cast<unsigned char>(kept | bit << (i % 32 / 16 * 4 + i % 16 / 4));
}

/// Two bits of 256 weights, 64 a column.
template <class V>
inline void pairs_of_words(V words, V (&codes)[4]) {
  codes[0] = words.bits(3);
  codes[1] = words.template down<2>().bits(3);
  codes[2] = words.template down<4>().bits(3);
  codes[3] = words.template down<6>().bits(3);
}

/// Of blocks of six words, a column each: the first four, and the last two in two places each; then which half of their
/// bytes is meant.
constexpr LaneShifts words_of_six(bool last) {
  LaneShifts words{};
  for (std::uint32_t i = 0; i < 16; ++i) words.v[i] = i / 4 * 6 + (last ? 4 + i % 4 / 2 : i % 4);
  return words;
}
constexpr LaneBytes last_words_twice() {
  LaneBytes places{};
  for (int i = 0; i < 64; ++i) places.v[i] = static_cast<std::uint8_t>(8 + i % 16 / 8 * 4 + i % 4);
  return places;
}
constexpr LaneBytes kLastWordsTwice = last_words_twice();
template <bool kLast, class V>
inline V load_sixes(const unsigned char* in, int p) {
  if constexpr (requires(const LaneShifts& places) { V::words24(in, places, p); }) {
    constexpr static LaneShifts kPlaces = words_of_six(kLast);
    return V::words24(in, kPlaces, p);
  } else if constexpr (kLast) {
    return V::load(in + 8, 24, 48, p).pick(kLastWordsTwice, p);
  } else {
    return V::load(in, 24, 48, p);
  }
}
constexpr LaneShifts kHalvesOfBytes = {{0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4}};

/// Codes of three bits: 64 weights are 16 bytes of their low two bits and eight of their high one.
struct ThreeBits {
  static constexpr int kBits = 3, kGroup = 64, kBlockBytes = 24, kHigh = 16;

  static int code_at(const unsigned char* stream, std::int64_t i) {
    const unsigned char* block = stream + i / kGroup * kBlockBytes;
    const int at = static_cast<int>(i % kGroup);
    return pair_at(block, at) | bit_at(block + kHigh, at) << 2;
  }
  static void put(int code, int i, unsigned char* stream) {
    put_pair(code & 3, i, stream);
    put_bit(code >> 2, i, stream + kHigh);
  }
  /// Each word of low bits is 16 weights, four words of codes.
  static void codes(const unsigned char* stream, std::int64_t count, std::uint8_t* __restrict codes) {
    using FourWords = std::uint32_t __attribute__((vector_size(16)));
    for (std::int64_t at = 0; at < count; at += kGroup, stream += kBlockBytes) {
      for (std::uint32_t i = 0; i < 4; ++i, codes += 16) {
        std::uint32_t low, high;
        __builtin_memcpy(&low, stream + 4 * i, 4);
        __builtin_memcpy(&high, stream + kHigh + i / 2 * 4, 4);
        const FourWords pairs = (FourWords{} + low) >> FourWords{0, 2, 4, 6} & 0x03030303;
        const FourWords bits = (FourWords{} + (high >> i % 2 * 4)) >> FourWords{0, 1, 2, 3} & 0x01010101;
        const FourWords words = pairs | bits << 2;
        __builtin_memcpy(codes, &words, sizeof words);
      }
    }
  }

  static constexpr LaneGroups kLaneGroups = kAllInOrder;
  template <class V>
  static void columns(const unsigned char* in, int p, V (&codes)[4]) {
    pairs_of_words(load_sixes<false, V>(in, p), codes);
    const V high = load_sixes<true, V>(in, p).down(kHalvesOfBytes, p);  // each word serves two groups
    codes[0] = codes[0].with(high.template up<2>(), 4);
    codes[1] = codes[1].with(high.template up<1>(), 4);
    codes[2] = codes[2].with(high, 4);
    codes[3] = codes[3].with(high.template down<1>(), 4);
  }
};
