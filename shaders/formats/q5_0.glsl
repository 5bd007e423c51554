// GGUF Q5_0: an f16 scale, 32 fifth bits, then nibbles; value = scale · (code − 16).
void decode_32(uint row, uint k, out float w[32]) {
  const uint64_t block = block_of(row, k, 22);
  const uint nibbles[4] = uint[4](word_at(block + 6), word_at(block + 10), word_at(block + 14), word_at(block + 18));
  decode_nibbles(nibbles, word_at(block + 2), low_half(half_at(block)), 16, 0.0, w);
}
