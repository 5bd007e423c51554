// GGUF Q5_K: Q4_K with 32 bytes of fifth bits before the nibbles, bit s of byte i that of weight 32s + i.
void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 256, 176);
  const uint s = k % 256 / 32;
  read_nibbles_of(block, s, 48, c);
  join_bits(block + 16, s, 1, 4, c.four);
}
