// GGUF IQ2_S: an f16 d; for each eight weights the low byte of a row of the grid; then for each of them a byte of
// signs; then two more bits of each row; for each 16 weights a scale of four bits; value = d · (scale + ½) / 4 ·
// ±number.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 256, 82);
  const uint s = k % 256 / 32, low = word_at(block + 2 + 4 * s), signs = word_at(block + 34 + 4 * s);
  const uint high = byte_at(block + 66 + s), scales = byte_at(block + 74 + s);
  for (uint i = 0; i < 4; ++i) {
    const float scale = half_at(block) * (0.5 + float(scales >> i / 2 * 4 & 15u)) * 0.25;
    scale_eight(8 * i, low >> 8 * i & 255u | (high >> 2 * i & 3u) << 8, signs >> 8 * i & 255u, scale, c);
  }
}
