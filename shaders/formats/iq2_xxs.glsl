// GGUF IQ2_XXS: an f16 d; for each 32 weights four rows of the grid, of eight weights, then a word of four times seven
// signs and, on top, a scale of four bits; value = d · (scale + ½) / 4 · ±number.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 256, 66), own = block + 2 + k % 256 / 32 * 8;
  const uint rows = word_at(own), signs = word_at(own + 4);
  const float scale = half_at(block) * (0.5 + float(signs >> 28)) * 0.25;
  for (uint i = 0; i < 4; ++i) scale_eight(8 * i, rows >> 8 * i & 255u, eight_signs(signs >> 7 * i & 127u), scale, c);
}
