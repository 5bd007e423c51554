// GGUF Q4_0: an f16 scale, then nibbles; value = scale · (code − 8).
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  uint words[9];
  read_block(row, k, 18, words);
  const uint nibbles[4] = uint[4](straddling(words, 0), straddling(words, 1), straddling(words, 2), straddling(words, 3));
  join_nibbles(nibbles, 0, c.four);
  for (uint i = 0; i < 8; ++i) c.four[i] = less(c.four[i], 8);
  c.scale = vec2(low_half(words[0]));
}
