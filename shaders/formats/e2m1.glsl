// Streams of E2M1: a sign, two bits of exponent, one of mantissa.

/// Twice the numbers of four codes, as signed bytes.
uint twice_e2m1(uint codes) {
  const uint one = 0x01010101u, high = codes >> 2 & one, low = codes >> 1 & one;
  uint size = codes & one | (high | low) << 1;
  size += size & high * 255u;
  size += size & (high & low) * 255u;
  const uint negative = codes >> 3 & size + 0x7f7f7f7fu >> 7 & one;  // not of zero
  return (size ^ negative * 255u) + negative;
}

/// scale · number; of 16 weights each.
void scale_e2m1(uint row, uint k, vec2 scale, out Codes c) {
  uint words[8];
  read_stream(row, k, 4, words);
  for (uint i = 0; i < 4; ++i) {
    for (uint h = 0; h < 2; ++h) {
      const uint half_word = words[i] >> 16 * h & 0xffffu, bytes = (half_word | half_word << 8) & 0x00ff00ffu;
      c.four[2 * i + h] = twice_e2m1((bytes | bytes << 4) & 0x0f0f0f0fu);
    }
  }
  c.scale = 0.5 * scale;
}
