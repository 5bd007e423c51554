// GGUF IQ4_NL: an f16 d, 16 bytes of nibbles, byte i that of weights i (low) and i + 16; value = d · number.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 32, 18);
  uint codes[8];
  read_nibbles(block + 2, codes);
  scale_named(codes, vec2(half_at(block)), c);
}
