// GGUF TQ2_0: 64 bytes of codes as in Q2_K, an f16 d; value = d · (code − 1).
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 256, 66);
  const uint s = k % 256 / 32;
  uint codes[8] = kNoCodes;
  join_bits(block + s / 4 * 32, s % 4 * 2, 3, 0, codes);
  scale_codes(codes, 1, vec2(half_at(block + 64)), c);
}
