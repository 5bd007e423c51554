// Codes of two bits, of which 2 is zero, and a float for each 64. Byte i of a word has weights i, i + 4, i + 8 and i + 12.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  uint words[8];
  read_stream(row, k, 2, words);
  for (uint i = 0; i < 8; ++i) c.four[i] = less(words[i / 4] >> 2 * (i % 4) & 0x03030303u, 2);
  c.scale = vec2(own_scale(row, k / 64));
}
