// GGUF IQ2_XS: an f16 d; for each eight weights nine bits of a row of the grid and seven of signs; for each 16 weights
// a scale of four bits; value = d · (scale + ½) / 4 · ±number.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 256, 74);
  const uint s = k % 256 / 32, scales = byte_at(block + 66 + s);
  for (uint i = 0; i < 4; ++i) {
    const uint bits = half_bits(block + 2 + 8 * s + 2 * i);
    const float scale = half_at(block) * (0.5 + float(scales >> i / 2 * 4 & 15u)) * 0.25;
    scale_eight(8 * i, bits & 511u, eight_signs(bits >> 9), scale, c);
  }
}
