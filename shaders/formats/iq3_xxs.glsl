// GGUF IQ3_XXS: an f16 d; for each four weights a row of the grid; for each 32 weights a word of four times seven signs
// and, on top, a scale of four bits; value = d · (scale + ½) / 2 · ±number.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 256, 98);
  const uint s = k % 256 / 32, signs = word_at(block + 66 + 4 * s);
  const uvec2 rows = uvec2(word_at(block + 2 + 8 * s), word_at(block + 6 + 8 * s));
  const float scale = half_at(block) * (0.5 + float(signs >> 28)) * 0.5;
  for (uint i = 0; i < 8; ++i) {
    const uint eight = eight_signs(signs >> i / 2 * 7 & 127u);
    scale_four(4 * i, four_numbers(rows[i / 4] >> i % 4 * 8 & 255u), eight >> i % 2 * 4, scale, c);
  }
}
