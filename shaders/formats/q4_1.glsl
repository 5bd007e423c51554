// GGUF Q4_1: an f16 scale, an f16 bias, then nibbles; value = scale · code + bias.
void decode_32(uint row, uint k, out float w[32]) {
  const uint64_t block = block_of(row, k, 20);
  const uint head = Word(block).value;
  const uint nibbles[4] = uint[4](Word(block + 4).value, Word(block + 8).value, Word(block + 12).value, Word(block + 16).value);
  decode_nibbles(nibbles, 0, low_half(head), 0, high_half(head), w);
}
