// GGUF Q4_0: an f16 scale, then nibbles; value = scale · (code − 8).
void decode_32(uint row, uint k, out float w[32]) {
  uint words[9];
  read_block(row, k, 18, words);
  const uint nibbles[4] = uint[4](straddling(words, 0), straddling(words, 1), straddling(words, 2), straddling(words, 3));
  decode_nibbles(nibbles, 0, low_half(words[0]), 8, 0.0, w);
}
