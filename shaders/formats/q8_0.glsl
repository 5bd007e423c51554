// GGUF Q8_0: an f16 scale, 32 signed bytes; value = scale · code.
void decode_32(uint row, uint k, out float w[32]) {
  uint words[9];
  read_block(row, k, 34, words);
  const float scale = low_half(words[0]);
  for (int i = 0; i < 8; ++i) {
    const int codes = int(straddling(words, i));
    for (int j = 0; j < 4; ++j) w[4 * i + j] = scale * float(bitfieldExtract(codes, 8 * j, 8));
  }
}
