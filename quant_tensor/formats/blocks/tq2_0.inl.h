// GGUF TQ2_0: 64 bytes of codes as in Q2_K, an f16 d; value = d · (code − 1). Encoders use codes 0, 1 and 2.
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"

struct TQ2_0 {
  static constexpr const char* kName = "tq2_0";
  static constexpr int kGgmlType = 35, kWeights = 256, kBytes = 66, kGroup = 256, kBits = 2, kCodeBits = 2, kZero = 1;

  static void codes(const unsigned char* block, std::uint8_t* codes) { pairs_of_bits(block, codes); }
  static constexpr LaneGroups kLaneGroups = kInOrder;
  template <class V>
  static void columns(const unsigned char* block, int p, V (&codes)[4]) {
    pair_columns(block, p, codes);
  }
  static void scales(const unsigned char* block, float* scale) { *scale = half_to_float(half_bits(block + 64)); }

  static void pack(const std::uint8_t* codes, std::uint16_t d, unsigned char* block) {
    pack_pairs_of_bits(codes, block);
    put_half(block + 64, d);
  }
};
