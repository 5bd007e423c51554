// GGUF Q4_K: f16 d and dmin, 12 bytes of eight 6-bit scales and minima, 128 bytes of nibbles;
// value = d · scale · code − dmin · minimum. Of each 32 bytes of codes, low nibbles are 32 weights, high ones the next.
const bool kShifted = true;

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 256, 144);
  const uint s = k % 256 / 32;
  vec2 scale, bias;
  read_scale(block, s, scale, bias);
  uint codes[8] = kNoCodes;
  join_bits(block + 16 + s / 2 * 32, s % 2 * 4, 15, 0, codes);
  c = Codes(codes, scale, bias);
}
