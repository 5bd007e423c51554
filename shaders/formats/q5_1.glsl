// GGUF Q5_1: an f16 scale, an f16 bias, 32 fifth bits, then nibbles; value = scale · code + bias.
const bool kShifted = true;

void codes_32(uint row, uint k, out Codes c) {
  uint words[9];
  read_block(row, k, 24, words);
  const uint nibbles[4] = uint[4](words[2], words[3], words[4], words[5]);
  join_nibbles(nibbles, words[1], c.four);
  c.scale = vec2(low_half(words[0]));
  c.bias = vec2(high_half(words[0]));
}
