// scale · number, of bytes that number_of(byte) gives and scales that scale_of(row, k) does.
void decode_32(uint row, uint k, out float w[32]) {
  uint words[8];
  read_stream(row, k, 8, words);
  const float scale = scale_of(row, k);
  for (uint i = 0; i < 32; ++i) w[i] = scale * number_of(words[i / 4] >> 8 * (i % 4) & 0xffu);
}
