// GGUF Q8_K: an f32 d, 256 signed bytes, then a 16-bit sum of each 16 of them, which says nothing more; value = d ·
// byte. ggml rounds activations to it.
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"

struct Q8K {
  static constexpr const char* kName = "q8_k";
  static constexpr const char* kSpecification = "ggml-org/llama.cpp: ggml/src/ggml-quants.c";
  static constexpr int kGgmlType = 15, kWeights = 256, kBytes = 292, kGroup = 256, kBits = 8, kCodeBits = 8;
  static constexpr int kZero = 128, kSummed = 16;

  static void codes(const unsigned char* block, std::uint8_t* __restrict codes) {
    for (int i = 0; i < kWeights; ++i) codes[i] = block[4 + i] ^ 0x80;
  }
  static constexpr LaneGroups kLaneGroups = kByColumns;
  template <class V>
  static void columns(const unsigned char* block, int p, V (&codes)[4]) {
    signed_columns(block + 4, p, codes);
  }
  static void scales(const unsigned char* block, float* scale) { __builtin_memcpy(scale, block, 4); }

  /// ggml's rule: the weight of largest magnitude, the first of several, becomes −127.
  static void encode(const float* x, float spoiled, unsigned char* block) {
    float largest = 0;
    for (int i = 0; i < kWeights; ++i) {
      if (__builtin_fabsf(x[i]) > __builtin_fabsf(largest)) largest = x[i];
    }
    const float inverse = largest == 0 ? 0 : -127 / largest, d = (inverse == 0 ? 0 : 1 / inverse) + spoiled;
    std::int16_t sums[kWeights / kSummed] = {};
    for (int i = 0; i < kWeights; ++i) {
      const float number = __builtin_nearbyintf(inverse * x[i]);
      const int code = !(number < 127) ? 127 : number > -127 ? static_cast<int>(number) : -127;
      block[4 + i] = static_cast<unsigned char>(static_cast<signed char>(code));
      sums[i / kSummed] = static_cast<std::int16_t>(sums[i / kSummed] + code);
    }
    __builtin_memcpy(block, &d, 4);
    __builtin_memcpy(block + 4 + kWeights, sums, sizeof sums);
  }
};
