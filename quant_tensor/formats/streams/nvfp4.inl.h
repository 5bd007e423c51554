// MLX's nvfp4: E2M1, and a scale of E4M3 for each 16 of them; optionally all scales of a matrix are multiplied by its
// own: global / (448 · 6), global being the largest magnitude. Here each row carries it.
#pragma once

#include "quant_tensor/formats/streams/e2m1_stream.inl.h"

struct Nvfp4 : E2M1Stream {
  static constexpr const char* kName = "nvfp4";
  static constexpr const char* kMlxMode = "nvfp4";
  static constexpr const char* kKind = "nvfp4";
  static constexpr int kGroup = 16;
  static constexpr bool kHasGlobal = false, kHasE4M3Scales = true;

  template <class Row>
  static float scale(const Row& row, std::int64_t group) {
    return from_e4m3(byte_of(row, 1, group));
  }

  /// By which scales of a row are multiplied, rounded or not.
  template <class Row>
  static float factor(const Row&) {
    return 1;
  }

  static float global_of(float most) { return most; }
  static std::uint8_t encode(const float* w, float global, bool is_finite, unsigned char* stream) {
    return encode_stretched(w, global == 0 ? 1 : 448.f * 6 / global, is_finite, stream);
  }

 protected:
  /// MLX's rule: the scale that makes the largest magnitude 6, rounded. Where it vanishes, so do the weights.
  static std::uint8_t encode_stretched(const float* w, float stretch, bool is_finite, unsigned char* stream) {
    const std::uint8_t bits = is_finite ? to_e4m3(largest_size(w, kGroup) / 6 * stretch) : kE4M3NaN;
    const float scale = from_e4m3(bits);
    const bool has_codes = is_finite && scale != 0;
    for (int i = 0; i < kGroup; ++i) put(has_codes ? to_e2m1(w[i] / scale * stretch) : std::uint8_t{0}, i, stream);
    return bits;
  }
};

struct GlobalNvfp4 : Nvfp4 {
  static constexpr const char* kName = "nvfp4_global";
  static constexpr bool kHasGlobal = true;

  template <class Row>
  static float scale(const Row& row, std::int64_t group) {
    return Nvfp4::scale(row, group) * factor(row);
  }
  template <class Row>
  static float factor(const Row& row) {
    return float_of(row, 2, 0) / (448.f * 6);
  }
};

/// The same with scales that are divided by the matrix's own number.
struct DividedNvfp4 : Nvfp4 {
  static constexpr const char* kName = "nvfp4_divided";
  static constexpr const char* kMlxMode = "";
  static constexpr const char* kSpecification = "compressed-tensors: nvfp4-pack-quantized";
  static constexpr bool kHasGlobal = true;

  template <class Row>
  static float scale(const Row& row, std::int64_t group) {
    return Nvfp4::scale(row, group) / float_of(row, 2, 0);
  }
  template <class Row>
  static float factor(const Row& row) {
    return 1 / float_of(row, 2, 0);
  }
  /// That number is as large as the largest scale allows.
  static float global_of(float most) { return most == 0 ? 1 : 448.f * 6 / most; }
  static std::uint8_t encode(const float* w, float global, bool is_finite, unsigned char* stream) {
    return encode_stretched(w, global, is_finite, stream);
  }
};
