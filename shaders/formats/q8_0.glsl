// GGUF Q8_0: an f16 scale, 32 signed bytes; value = scale · code.
void decode_32(uint row, uint k, out float w[32]) {
  const uint64_t block = block_of(row, k, 34);
  const float scale = low_half(half_at(block));
  for (int i = 0; i < 8; ++i) {
    const int codes = int(word_at(block + 2 + 4 * i));
    for (int j = 0; j < 4; ++j) w[4 * i + j] = scale * float(bitfieldExtract(codes, 8 * j, 8));
  }
}
