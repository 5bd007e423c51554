// NF3, and a float for each 64.
void decode_32(uint row, uint k, out float w[32]) {
  uint four[8];
  read_three_bits(row, k, four);
  const float scale = own_scale(row, k / 64);
  for (uint i = 0; i < 32; ++i) w[i] = scale * number_named(four[i / 4] >> 8 * (i % 4) & 0xffu);
}
