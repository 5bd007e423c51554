// E2M1, and a scale in the weight's own float type for each 128 of them. Nobody else defines it.
#pragma once

#include "quant_tensor/formats/streams/e2m1_stream.inl.h"
#include "quant_tensor/formats/streams/own_scales.inl.h"

struct Fp4 : E2M1Stream {
  static constexpr const char* kName = "fp4";
  static constexpr const char* kSpecification =
      "OCP Microscaling Formats: E2M1; nibble: quant_tensor/formats/streams/fp4.inl.h";
  static constexpr int kGroup = 128;
  static constexpr bool kHasGlobal = false, kHasOwnScales = true;

  template <class Row>
  static float scale(const Row& row, std::int64_t group) {
    return OwnScales::scale(row, group);
  }

  /// The largest magnitude becomes 6.
  static float encode(const float* w, float, bool is_finite, unsigned char* stream) {
    const float scale = is_finite ? largest_size(w, kGroup) / 6 : __builtin_nanf("");
    for (int i = 0; i < kGroup; ++i) put(scale > 0 ? to_e2m1(w[i] / scale) : std::uint8_t{0}, i, stream);
    return scale;
  }
};
