// GGUF IQ1_M: for each eight weights the low byte of a row of IQ1_S's grid; then four bits of each, three more of the
// row and whether an eighth is taken off or added; then 16 scales of three bits, in four pairs of bytes whose top
// halves together are an f16 d; value = d · (2 scale + 1) · (number ± ⅛).
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 256, 56);
  const uint s = k % 256 / 32, low = word_at(block + 4 * s), high = half_bits(block + 32 + 2 * s);
  uint d = 0;
  for (uint i = 0; i < 4; ++i) d |= half_bits(block + 48 + 2 * i) >> 12 << 4 * i;
  const uint scales = half_bits(block + 48 + s / 2 * 2) >> s % 2 * 6;
  for (uint i = 0; i < 4; ++i) {
    const uint four = high >> 4 * i & 15u;
    const float scale = float_of_half(d) * float(2 * (scales >> i / 2 * 3 & 7u) + 1) * 0.125;
    scale_row(8 * i, low >> 8 * i & 255u | (four & 7u) << 8, four >> 3, scale, c);
  }
}
