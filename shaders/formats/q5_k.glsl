// GGUF Q5_K: Q4_K with 32 bytes of fifth bits before the nibbles, bit s of byte i that of weight 32s + i.
const bool kShifted = true;

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 256, 176);
  const uint s = k % 256 / 32;
  vec2 scale, bias;
  read_scale(block, s, scale, bias);
  uint codes[8] = kNoCodes;
  join_bits(block + 48 + s / 2 * 32, s % 2 * 4, 15, 0, codes);
  join_bits(block + 16, s, 1, 4, codes);
  c = Codes(codes, scale, bias);
}
