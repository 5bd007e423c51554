// MLX's mxfp4 (OCP Microscaling Formats): E2M1, and an exponent for each 32 of them.
#pragma once

#include "quant_tensor/formats/streams/e2m1_stream.inl.h"

struct Mxfp4 : E2M1Stream {
  static constexpr const char* kName = "mxfp4";
  static constexpr const char* kMlxMode = "mxfp4";
  static constexpr const char* kKind = "mxfp4";
  static constexpr int kGroup = 32;
  static constexpr bool kHasGlobal = false, kHasExponents = true;

  template <class Row>
  static float scale(const Row& row, std::int64_t group) {
    return power_of_two(byte_of(row, 1, group));
  }

  /// MLX's rule: the least exponent by which no magnitude is above 6.
  static std::uint8_t encode(const float* w, float, bool is_finite, unsigned char* stream) {
    constexpr std::uint8_t kInfinite = 255;  // times 0: no number
    const std::uint8_t exponent = is_finite ? power_of_two_above(largest_size(w, kGroup) / 6) : kInfinite;
    for (int i = 0; i < kGroup; ++i) put(is_finite ? to_e2m1(w[i] / power_of_two(exponent)) : 0, i, stream);
    return exponent;
  }
};
