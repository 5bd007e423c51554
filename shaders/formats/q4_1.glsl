// GGUF Q4_1: an f16 scale, an f16 bias, then nibbles; value = scale · code + bias.
void decode_32(uint row, uint k, out float w[32]) {
  uint words[9];
  read_block(row, k, 20, words);
  const uint nibbles[4] = uint[4](words[1], words[2], words[3], words[4]);
  decode_nibbles(nibbles, 0, low_half(words[0]), 0, high_half(words[0]), w);
}
