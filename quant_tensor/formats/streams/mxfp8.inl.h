// MLX's mxfp8 (OCP Microscaling Formats): E4M3, and an exponent for each 32 of them.
#pragma once

#include "quant_tensor/formats/streams/fp8.inl.h"

struct Mxfp8 {
  using Number = E4M3;
  static constexpr const char* kName = "mxfp8";
  static constexpr const char* kMlxMode = "mxfp8";
  static constexpr int kBits = 8, kGroup = 32;
  static constexpr const char* kSpecification = "ml-explore/mlx: mx.quantize";
  static constexpr bool kHasExponents = true, kHasGlobal = false, kHasOwnScales = false, kInWords = true;

  template <class Row>
  static float scale(const Row& row, std::int64_t group) {
    return power_of_two(byte_of(row, 1, group));
  }
  static float number(const unsigned char* stream, std::int64_t i) { return from_e4m3(stream[i]); }

  /// MLX's rule: the least exponent by which no magnitude is above 448.
  static std::uint8_t encode(const float* w, float, bool is_finite, unsigned char* stream) {
    const std::uint8_t exponent = power_of_two_above(is_finite ? largest_size(w, kGroup) / 448 : 0);
    for (int i = 0; i < kGroup; ++i) stream[i] = is_finite ? to_e4m3(w[i] / power_of_two(exponent)) : kE4M3NaN;
    return exponent;
  }
};
