// GGUF Q5_0: an f16 scale, 32 fifth bits, then nibbles; value = scale · (code − 16).
void decode_32(uint row, uint k, out float w[32]) {
  uint words[9];
  read_block(row, k, 22, words);
  const uint nibbles[4] = uint[4](straddling(words, 1), straddling(words, 2), straddling(words, 3), straddling(words, 4));
  decode_nibbles(nibbles, straddling(words, 0), low_half(words[0]), 16, 0.0, w);
}
