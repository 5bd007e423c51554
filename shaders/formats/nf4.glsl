// NF4: the first of two codes in a byte is the high one; and a float for each 64.
void decode_32(uint row, uint k, out float w[32]) {
  uint words[8];
  read_stream(row, k, 4, words);
  const float scale = own_scale(row, k / 64);
  for (uint i = 0; i < 32; ++i) w[i] = scale * number_named(words[i / 8] >> 4 * (i % 8 ^ 1u) & 15u);
}
