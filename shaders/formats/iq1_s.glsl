// GGUF IQ1_S: an f16 d; for each eight weights the low byte of a row of the grid; for each 32 weights two bytes of
// three more bits of each of its rows, a scale of three bits, and whether an eighth is taken off or added; value = d ·
// (2 scale + 1) · (number ± ⅛).
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 256, 50);
  const uint s = k % 256 / 32, low = word_at(block + 2 + 4 * s), high = half_bits(block + 34 + 2 * s);
  const float scale = half_at(block) * float(2 * (high >> 12 & 7u) + 1) * 0.125;
  for (uint i = 0; i < 4; ++i) scale_row(8 * i, low >> 8 * i & 255u | (high >> 3 * i & 7u) << 8, high >> 15, scale, c);
}
