// Signed integers of three bits, and a scale in the weight's own float type for each 64 of them; value = scale · (code
// − 4). Nobody else defines it.
#pragma once

#include "quant_tensor/formats/streams/own_scales.inl.h"

struct Int3 : OwnScales, ThreeBits {
  static constexpr const char* kName = "int3";
  static constexpr const char* kSpecification = "nibble: quant_tensor/formats/streams/int3.inl.h";
  static constexpr int kCodeBits = 3, kZero = 4;
  static constexpr float kUnit = 1;

  static float number(const unsigned char* stream, std::int64_t i) {
    return static_cast<float>(code_at(stream, i) - kZero);
  }
};
