// Formats whose codes name numbers, signed bytes that the device has as component 1.

/// scale · number, of 16 codes of four bits each.
void scale_named(uint codes[8], vec2 scale, out Codes c) {
  const uvec4 numbers = read_quad(1, component(1, 0));
  c.scale = scale;
  for (uint i = 0; i < 8; ++i) {
    c.four[i] = 0;
    for (uint at = 0; at < 32; at += 8) {
      const uint code = codes[i] >> at & 0xffu;
      c.four[i] |= (numbers[code / 4] >> 8 * (code % 4) & 0xffu) << at;
    }
  }
}

/// Four numbers from number 4 · `at` on.
uint four_numbers(uint at) { return read_word(1, component(1, 0) + uint64_t(at * 4)); }
/// scale · number of weights `first` on, none of which is zero, negative where a sign is set.
void scale_four(uint first, uint numbers, uint signs, float scale, inout Codes c) {
  const uint negative = (signs & 15u) * 0x00204081u & 0x01010101u;
  c.four[first / 4] = (numbers ^ negative * 255u) + negative;
  c.scale[first / 16] = scale;
}
void scale_eight(uint first, uint row, uint signs, float scale, inout Codes c) {
  scale_four(first, four_numbers(row * 2), signs, scale, c);
  scale_four(first + 4, four_numbers(row * 2 + 1), signs >> 4, scale, c);
}
/// Seven signs, of which the eighth makes the number of negative ones even.
uint eight_signs(uint seven) { return seven | (uint(bitCount(seven)) & 1u) << 7; }
