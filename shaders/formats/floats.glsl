// The values of 32 weights.
void decode_32(uint row, uint k, out float w[32]) {
  Codes c;
  codes_32(row, k, c);
  for (uint i = 0; i < 32; ++i) {
    const uint four = c.four[i / 4], at = 8 * (i % 4);
    if (kShifted) {
      w[i] = c.scale[i / 16] * float(four >> at & 0xffu) + c.bias[i / 16];
    } else {
      w[i] = c.scale[i / 16] * float(bitfieldExtract(int(four), int(at), 8));
    }
  }
}
