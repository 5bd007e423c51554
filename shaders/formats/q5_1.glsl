// GGUF Q5_1: an f16 scale, an f16 bias, 32 fifth bits, 16 bytes of nibbles; value = scale · code + bias.
vec2 scale_and_bias(uint row, uint k) {
  const uint64_t block = block_of(row, k, 24);
  return vec2(half_at(block), half_at(block + 2));
}

void values_of_8(uint row, uint k, out float v[8]) {
  const uint64_t block = block_of(row, k, 24);
  uint code[8];
  nibbles_of_8(block + 8, word_at(block + 4), k, code);
  for (uint i = 0; i < 8; ++i) v[i] = float(code[i]);
}
