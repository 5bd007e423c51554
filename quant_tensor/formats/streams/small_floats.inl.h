// Floats of four and eight bits, and exponents of eight, as MLX reads and rounds them.
#pragma once

/// E8M0, an exponent alone: 2^(byte − 127); the last one is infinite. The two smallest are subnormal.
inline float power_of_two(std::uint32_t byte) {
  return __builtin_bit_cast(float, byte == 0 ? 0x00400000u : byte << 23);
}
/// The least power of two that is no smaller, as far as a logarithm in fp32 tells.
inline std::uint8_t power_of_two_above(float size) {
  if (size == 0) return 127;
  const float exponent = __builtin_ceilf(__builtin_log2f(size)) + 127;
  return static_cast<std::uint8_t>(exponent < 0 ? 0 : exponent);
}

/// E4M3, the largest of which is no number.
constexpr std::uint8_t kE4M3NaN = 0x7f;
/// Its bits as those of a float whose exponent is 120 too small, but of NaN: subnormal numbers come right, too, and
/// compilers make vectors of it.
inline float from_e4m3(std::uint32_t byte) {
  const std::uint32_t size = byte & 0x7f, bits = size == kE4M3NaN ? 0x7ff00000 : size << 20;
  return __builtin_bit_cast(float, bits | (byte & 0x80) << 24) * 0x1p120f;
}
/// To nearest even, at most ±448.
inline std::uint8_t to_e4m3(float value) {
  constexpr std::uint32_t kMost = 0x43e00000, kLeastNormal = 121u << 23;
  const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, value), sign = bits & 0x80000000, size = bits ^ sign;
  std::uint32_t byte = 0x7e;
  if (size < kLeastNormal) {  // adding 2^14 leaves units of 2^-9 in the low bits
    byte = __builtin_bit_cast(std::uint32_t, __builtin_bit_cast(float, size) + 0x1p14f) - (141u << 23);
  } else if (size < kMost) {
    byte = (size - (120u << 23) + 0x7ffff + (size >> 20 & 1)) >> 20;
  }
  return static_cast<std::uint8_t>(byte | sign >> 24);
}

/// E5M2: the upper half of an f16.
inline float from_e5m2(std::uint32_t byte) {
  const std::uint32_t size = byte & 0x7f, infinite = size >= 0x7c ? 224u << 23 : 0;
  return __builtin_bit_cast(float, ((size << 21) + infinite) | (byte & 0x80) << 24) * 0x1p112f;
}
/// To nearest even, at most ±57344.
inline std::uint8_t to_e5m2(float value) {
  constexpr std::uint32_t kMost = 0x47600000, kLeastNormal = 113u << 23;
  const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, value), sign = bits & 0x80000000, size = bits ^ sign;
  std::uint32_t byte = 0x7b;
  if (size < kLeastNormal) {  // adding 2^7 leaves units of 2^-16 in the low bits
    byte = __builtin_bit_cast(std::uint32_t, __builtin_bit_cast(float, size) + 0x1p7f) - (134u << 23);
  } else if (size < kMost) {
    byte = (size - (112u << 23) + 0xfffff + (size >> 21 & 1)) >> 21;
  }
  return static_cast<std::uint8_t>(byte | sign >> 24);
}

/// The bits, for tables, of the fp32 that such a size is, with so many bits of mantissa: beyond the largest it is no
/// number, or infinite where none of them is set.
template <int kMantissa, std::uint32_t kLargest>
constexpr std::uint32_t bits_of_small_float(std::uint32_t size) {
  constexpr int kBias = (1 << (6 - kMantissa)) - 1;
  const std::uint32_t mantissa = size & ((1u << kMantissa) - 1), exponent = size >> kMantissa;
  if (size > kLargest) return mantissa == 0 ? 0x7f800000 : 0x7fc00000;
  if (exponent != 0) return (exponent + 127 - kBias) << 23 | mantissa << (23 - kMantissa);
  return __builtin_bit_cast(std::uint32_t, static_cast<float>(mantissa) / (1 << (kBias + kMantissa - 1)));
}

/// E2M1: a sign, two bits of exponent, one of mantissa.
constexpr float kE2M1[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
/// To nearest, of two the one closer to zero, which has no sign.
inline std::uint8_t to_e2m1(float value) {
  const float size = value < 0 ? -value : value;
  const int code =
      (size > 0.25f) + (size > 0.75f) + (size > 1.25f) + (size > 1.75f) + (size > 2.5f) + (size > 3.5f) + (size > 5);
  return static_cast<std::uint8_t>(code != 0 && value < 0 ? code + 8 : code);
}

/// The largest magnitude of some weights.
inline float largest_size(const float* w, int count) {
  float most = 0;
  for (int i = 0; i < count; ++i) {
    const float size = w[i] < 0 ? -w[i] : w[i];
    most = size > most ? size : most;
  }
  return most;
}
