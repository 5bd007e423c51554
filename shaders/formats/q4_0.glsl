// GGUF Q4_0: an f16 scale, then nibbles; value = scale · (code − 8).
void decode_32(uint row, uint k, out float w[32]) {
  const uint64_t block = block_of(row, k, 18);
  const uint nibbles[4] = uint[4](word_at(block + 2), word_at(block + 6), word_at(block + 10), word_at(block + 14));
  decode_nibbles(nibbles, 0, low_half(half_at(block)), 8, 0.0, w);
}
