// FP8 (OCP): E4M3 or E5M2 a byte, and a scale in the weight's own float type for each 128 of them. Tiles, rows and
// matrices that share a scale have it many times.
#pragma once

#include "quant_tensor/formats/streams/own_scales.inl.h"

/// Their bits, but for the sign, are those of an f16 from bit kHalfShift on that counts kHalfUnit.
struct E4M3 {
  static constexpr const char* kName = "fp8_e4m3";
  static constexpr const char* kSpecification = "OCP 8-bit Floating Point: E4M3";
  static constexpr float kMost = 448, kHalfUnit = 256;
  static constexpr int kHalfShift = 7;
  static float number_of(std::uint32_t byte) { return from_e4m3(byte); }
  static constexpr std::uint32_t bits_of(std::uint32_t size) { return bits_of_small_float<3, 0x7e>(size); }
  static std::uint8_t nearest(float value) { return to_e4m3(value); }
};

struct E5M2 {
  static constexpr const char* kName = "fp8_e5m2";
  static constexpr const char* kSpecification = "OCP 8-bit Floating Point: E5M2";
  static constexpr float kMost = 57344, kHalfUnit = 1;
  static constexpr int kHalfShift = 8;
  static float number_of(std::uint32_t byte) { return from_e5m2(byte); }
  static constexpr std::uint32_t bits_of(std::uint32_t size) { return bits_of_small_float<2, 0x7b>(size); }
  static std::uint8_t nearest(float value) { return to_e5m2(value); }
};

template <class Float>
struct Fp8 : OwnScales {
  using Number = Float;
  static constexpr const char* kName = Float::kName;
  static constexpr const char* kSpecification = Float::kSpecification;
  static constexpr int kBits = 8, kGroup = 128;

  static float number(const unsigned char* stream, std::int64_t i) { return Float::number_of(stream[i]); }

  /// The largest magnitude becomes the largest number.
  static float encode(const float* w, float, bool is_finite, unsigned char* stream) {
    const float scale = is_finite ? largest_size(w, kGroup) / Float::kMost : __builtin_nanf("");
    for (int i = 0; i < kGroup; ++i) stream[i] = scale > 0 ? Float::nearest(w[i] / scale) : std::uint8_t{0};
    return scale;
  }
};
