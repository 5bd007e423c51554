// GGUF Q4_1: an f16 scale, an f16 bias, then nibbles; value = scale · code + bias.
const bool kShifted = true;

void codes_32(uint row, uint k, out Codes c) {
  uint words[9];
  read_block(row, k, 20, words);
  const uint nibbles[4] = uint[4](words[1], words[2], words[3], words[4]);
  join_nibbles(nibbles, 0, c.four);
  c.scale = vec2(low_half(words[0]));
  c.bias = vec2(high_half(words[0]));
}
