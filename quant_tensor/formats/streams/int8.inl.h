// Signed bytes, and a scale in the weight's own float type for each 128 of them; value = scale · byte. Rows and
// matrices that share a scale have it many times.
#pragma once

#include "quant_tensor/formats/streams/own_scales.inl.h"

struct Int8 : OwnScales {
  static constexpr const char* kName = "int8";
  static constexpr const char* kSpecification = "compressed-tensors: int-quantized, symmetric";
  static constexpr int kBits = 8, kGroup = 128, kCodeBits = 8, kZero = 128;
  static constexpr float kUnit = 1;

  static float number(const unsigned char* stream, std::int64_t i) {
    return static_cast<float>(static_cast<signed char>(stream[i]));
  }
  static void codes(const unsigned char* stream, std::int64_t count, std::uint8_t* __restrict codes) {
    for (std::int64_t i = 0; i < count; ++i) codes[i] = stream[i] ^ 0x80;
  }
  static constexpr LaneGroups kLaneGroups = kByColumns;
  template <class V>
  static void columns(const unsigned char* in, int p, V (&codes)[4]) {
    signed_columns(in, p, codes);
  }

  /// The largest magnitude becomes 127; to nearest even.
  static float encode(const float* w, float, bool is_finite, unsigned char* stream) {
    constexpr float kRound = 0x1.8p23f;
    const float scale = is_finite ? largest_size(w, kGroup) / 127 : __builtin_nanf("");
    for (int i = 0; i < kGroup; ++i) {
      const float code = scale > 0 ? (w[i] / scale + kRound) - kRound : 0;
      stream[i] = static_cast<unsigned char>(static_cast<signed char>(code > 127 ? 127 : code < -127 ? -127 : code));
    }
    return scale;
  }
};
