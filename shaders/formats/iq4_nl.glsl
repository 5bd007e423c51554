// GGUF IQ4_NL: an f16 d, 16 bytes of nibbles, byte i that of weights i (low) and i + 16; value = d · number.
void decode_32(uint row, uint k, out float w[32]) {
  const uint64_t block = block_at(row, k, 32, 18);
  uint codes[8];
  read_nibbles(block + 2, codes);
  scale_named(codes, vec2(half_at(block)), w);
}
