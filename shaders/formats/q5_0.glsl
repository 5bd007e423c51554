// GGUF Q5_0: an f16 scale, 32 fifth bits, then nibbles; value = scale · (code − 16).
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  uint words[9];
  read_block(row, k, 22, words);
  const uint nibbles[4] = uint[4](straddling(words, 1), straddling(words, 2), straddling(words, 3), straddling(words, 4));
  join_nibbles(nibbles, straddling(words, 0), c.four);
  for (uint i = 0; i < 8; ++i) c.four[i] = less(c.four[i], 16);
  c.scale = vec2(low_half(words[0]));
}
