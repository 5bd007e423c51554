// Three bits, of which 4 is zero, and a float for each 64.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  read_three_bits(row, k, c.four);
  for (uint i = 0; i < 8; ++i) c.four[i] = less(c.four[i], 4);
  c.scale = vec2(own_scale(row, k / 64));
}
