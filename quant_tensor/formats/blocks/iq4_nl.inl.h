// GGUF IQ4_NL: an f16 d, 16 bytes of nibbles, byte i that of weights i (low) and i + 16; value = d · kNonlinear[code].
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"
#include "quant_tensor/formats/blocks/tables.inl.h"

struct IQ4NL {
  static constexpr const char* kName = "iq4_nl";
  static constexpr int kGgmlType = 20, kWeights = 32, kBytes = 18, kGroup = 32, kBits = 4, kCodeBits = 8, kZero = 128;
  static constexpr auto& kTable = kNonlinear;

  static void names(const unsigned char* block, std::uint8_t* __restrict names) {
    unpack_nibbles(block + 2, 16, names);
  }
  static void codes(const unsigned char* block, std::uint8_t* codes) { codes_of_names<IQ4NL>(block, codes); }
  static constexpr LaneGroups kLaneGroups = kHalvesBy16;
  template <class V>
  static void columns(const unsigned char* block, int p, V (&codes)[4]) {
    constexpr int kStep = kBytes, kQ = 2;
    table_columns<IQ4NL>(V::load(block + kQ, kStep, 4 * kStep, p), V::load(block + 2 * kStep + kQ, kStep, 4 * kStep, p),
                         codes);
  }
  static void scales(const unsigned char* block, float* scale) { *scale = half_to_float(half_bits(block)); }
  template <class Widen>
  static void block_scales(const EightWords& first, Widen widen, EightNumbers& scale) {
    widen(first, scale);
  }

  static void pack(const std::uint8_t* codes, const std::int8_t*, std::uint16_t d, unsigned char* block) {
    put_half(block, d);
    pack_nibbles(codes, 16, block + 2);
  }
};
