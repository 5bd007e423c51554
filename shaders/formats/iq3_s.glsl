// GGUF IQ3_S: an f16 d; for each four weights the low byte of a row of the grid; then one more bit of each; a sign of
// each weight; for each 32 weights a scale of four bits; value = d · (2 scale + 1) · ±number.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 256, 110);
  const uint s = k % 256 / 32, high = byte_at(block + 66 + s), signs = word_at(block + 74 + 4 * s);
  const uvec2 low = uvec2(word_at(block + 2 + 8 * s), word_at(block + 6 + 8 * s));
  const float scale = half_at(block) * float(1 + 2 * (byte_at(block + 106 + s / 2) >> s % 2 * 4 & 15u));
  for (uint i = 0; i < 8; ++i) {
    const uint code = low[i / 4] >> i % 4 * 8 & 255u | (high >> i & 1u) << 8;
    scale_four(4 * i, four_numbers(code), signs >> 4 * i & 15u, scale, c);
  }
}
