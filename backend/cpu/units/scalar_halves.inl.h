// f16 without instructions for it. Included inside the scalar unit's unnamed namespace.

inline float half_to_float(std::uint16_t h) {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
  const std::uint32_t rest = h & 0x7fffu;
  if (rest >= 0x7c00u) {  // Inf; NaN made quiet, as the instruction does
    const std::uint32_t quiet = rest > 0x7c00u ? 0x400000u : 0u;
    return __builtin_bit_cast(float, sign | 0x7f800000u | (rest & 0x3ffu) << 13 | quiet);
  }
  // Shifted into place the exponent is 112 too small; a product with 2^112 also normalises denormals.
  const float magnitude = __builtin_bit_cast(float, rest << 13) * 0x1p112f;
  return __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, magnitude) | sign);
}
inline std::uint16_t float_to_half(float f) {
  const auto u = __builtin_bit_cast(std::uint32_t, f);
  const std::uint32_t sign = u >> 16 & 0x8000u, magnitude = u & 0x7fffffffu;
  std::uint32_t r;
  if (magnitude > 0x7f800000u) {
    r = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  } else if (magnitude >= 0x477ff000u) {  // 65520 and above round to Inf
    r = 0x7c00u;
  } else if (magnitude < 0x38800000u) {  // below 2^-14: adding 0.5 leaves the denormal, rounded, in the low bits
    r = __builtin_bit_cast(std::uint32_t, __builtin_bit_cast(float, magnitude) + 0.5f) - 0x3f000000u;
  } else {
    r = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  }
  return static_cast<std::uint16_t>(sign | r);
}
