// Formats whose codes name numbers, signed bytes that the device has as component 1.

/// scale · number, of 16 codes of four bits each.
void scale_named(uint codes[8], vec2 scale, out float w[32]) {
  const uvec4 numbers = read_quad(1, component(1, 0));
  for (uint i = 0; i < 32; ++i) {
    const uint code = codes[i / 4] >> 8 * (i % 4) & 0xffu;
    w[i] = scale[i / 16] * float(bitfieldExtract(int(numbers[code / 4]), int(code % 4 * 8), 8));
  }
}

/// Four numbers from number 4 · `at` on.
uint four_numbers(uint at) { return read_word(1, component(1, 0) + uint64_t(at * 4)); }
/// scale · number of weights `first` on, negative where a sign is set.
void scale_four(uint first, uint numbers, uint signs, float scale, inout float w[32]) {
  for (uint i = 0; i < 4; ++i) {
    const int number = int(numbers >> 8 * i & 0xffu);
    w[first + i] = scale * float((signs >> i & 1u) != 0 ? -number : number);
  }
}
void scale_eight(uint first, uint row, uint signs, float scale, inout float w[32]) {
  scale_four(first, four_numbers(row * 2), signs, scale, w);
  scale_four(first + 4, four_numbers(row * 2 + 1), signs >> 4, scale, w);
}
/// Seven signs, of which the eighth makes the number of negative ones even.
uint eight_signs(uint seven) { return seven | (uint(bitCount(seven)) & 1u) << 7; }
