// Formats without biases of their own, whose value = scale · (code − kZero), as kernels have it: scale · code + bias.
#pragma once

constexpr float power_above(int number) {
  float power = 1;
  while (power < static_cast<float>(number)) power *= 2;
  return power;
}
/// A power of two above all codes: where scale · code might overflow, a scale that was multiplied by it is infinite and
/// tells.
template <class Format>
constexpr float kAboveCodes = power_above(2 * Format::kZero);

template <class Format>
inline float bias_of(float scale) {
  return scale * kAboveCodes<Format> * (-Format::kZero / kAboveCodes<Format>);
}
