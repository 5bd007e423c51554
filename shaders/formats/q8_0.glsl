// GGUF Q8_0: an f16 scale, 32 signed bytes; value = scale · code.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  uint words[9];
  read_block(row, k, 34, words);
  c.scale = vec2(low_half(words[0]));
  for (uint i = 0; i < 8; ++i) c.four[i] = straddling(words, i);
}
