// GGUF NVFP4: four scales of unsigned E4M3, each of 16 weights; then for each of them 8 bytes of nibbles, byte i that
// of weights i (low) and i + 8; value = scale / 2 · number.
const bool kShifted = false;

/// The sign bit says nothing, and the byte that is NaN elsewhere is zero.
float half_of_e4m3(uint bits) {
  const uint exponent = bits >> 3 & 15u, mantissa = bits & 7u;
  if (bits == 0x7f) return 0.0;
  if (exponent == 0) return float(mantissa) * 9.765625e-4;
  return float(8 + mantissa) * uintBitsToFloat(exponent + 116 << 23);
}

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 64, 36);
  const uint s = k % 64 / 32, scales = half_bits(block + 2 * s);
  const uvec4 quad = quad_at(block + 4 + 16 * s), low = quad & 0x0f0f0f0fu, high = quad >> 4 & 0x0f0f0f0fu;
  const uint codes[8] = uint[8](low.x, low.y, high.x, high.y, low.z, low.w, high.z, high.w);
  scale_named(codes, vec2(half_of_e4m3(scales & 255u), half_of_e4m3(scales >> 8)), c);
}
