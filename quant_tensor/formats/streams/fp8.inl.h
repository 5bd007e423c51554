// FP8 (OCP): E4M3 or E5M2 a byte, and a scale in the weight's own float type for each 128 of them. Tiles, rows and
// matrices that share a scale have it many times.
#pragma once

#include "quant_tensor/formats/streams/own_scales.inl.h"

struct Fp8 : OwnScales {
  static constexpr int kBits = 8, kGroup = 128;
};

struct Fp8E4M3 : Fp8 {
  static constexpr const char* kName = "fp8_e4m3";
  static constexpr const char* kMode = kName;
  static constexpr const char* kSpecification = "OCP 8-bit Floating Point: E4M3";

  static float number(const unsigned char* stream, std::int64_t i) { return from_e4m3(stream[i]); }

  /// The largest magnitude becomes 448.
  static float encode(const float* w, float, bool is_finite, unsigned char* stream) {
    const float scale = is_finite ? largest_size(w, kGroup) / 448 : __builtin_nanf("");
    for (int i = 0; i < kGroup; ++i) stream[i] = scale > 0 ? to_e4m3(w[i] / scale) : std::uint8_t{0};
    return scale;
  }
};

struct Fp8E5M2 : Fp8 {
  static constexpr const char* kName = "fp8_e5m2";
  static constexpr const char* kMode = kName;
  static constexpr const char* kSpecification = "OCP 8-bit Floating Point: E5M2";

  static float number(const unsigned char* stream, std::int64_t i) { return from_e5m2(stream[i]); }

  /// The largest magnitude becomes 57344.
  static float encode(const float* w, float, bool is_finite, unsigned char* stream) {
    const float scale = is_finite ? largest_size(w, kGroup) / 57344 : __builtin_nanf("");
    for (int i = 0; i < kGroup; ++i) stream[i] = scale > 0 ? to_e5m2(w[i] / scale) : std::uint8_t{0};
    return scale;
  }
};
