#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// The wavelength, in positions, of the i-th of `count` rotary frequencies.
inline double rope_wavelength(double theta, std::size_t i, std::size_t count) {
  return 2 * M_PI * std::pow(theta, static_cast<double>(i) / static_cast<double>(count));
}

/// What Llama 3's scaling divides a frequency of that wavelength by, as llama.cpp stores it.
inline double llama3_divisor(const RopeScaling& scaling, double wavelength) {
  const double turns = static_cast<double>(scaling.original_max_position_embeddings) / wavelength;
  const double smooth =
      std::clamp((turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor), 0.0, 1.0);
  return 1 / ((1 - smooth) / scaling.factor + smooth);
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
