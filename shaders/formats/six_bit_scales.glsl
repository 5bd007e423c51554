// What Q4_K and Q5_K share: f16 d and dmin, then eight scales and minima of six bits in 12 bytes: of the first four, bytes
// 0 … 3 and 4 … 7 in full; of the last four, low halves together in bytes 8 … 11 and high bits on top of those of the first.
// Of each 32 bytes of nibbles, low ones are 32 weights, high ones the next.
const bool kShifted = true;

void read_scale(uint64_t block, uint s, out vec2 scale, out vec2 bias) {
  const uint shift = s % 4 * 8;
  const uint a = word_at(block + 4) >> shift, b = word_at(block + 8) >> shift, c = word_at(block + 12) >> shift;
  const uint six = s < 4 ? a & 63u : c & 15u | (a >> 6 & 3u) << 4, minimum = s < 4 ? b & 63u : c >> 4 & 15u | (b >> 6 & 3u) << 4;
  scale = vec2(half_at(block) * float(six));
  bias = vec2(-(half_at(block + 2) * float(minimum)));
}

/// Weights 32s … 32s + 31 of a block, whose nibbles lie behind so many bytes.
void read_nibbles_of(uint64_t block, uint s, uint nibbles, out Codes c) {
  uint codes[8] = kNoCodes;
  join_bits(block + nibbles + s / 2 * 32, s % 2 * 4, 15, 0, codes);
  c.four = codes;
  read_scale(block, s, c.scale, c.bias);
}
