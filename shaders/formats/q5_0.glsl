// GGUF Q5_0: an f16 scale, 32 fifth bits, 16 bytes of nibbles; value = scale · (code − 16).
vec2 scale_and_bias(uint row, uint k) { return vec2(half_at(block_of(row, k, 22)), 0.0); }

void values_of_8(uint row, uint k, out float v[8]) {
  const uint64_t block = block_of(row, k, 22);
  uint code[8];
  nibbles_of_8(block + 6, word_at(block + 2), k, code);
  for (uint i = 0; i < 8; ++i) v[i] = float(int(code[i]) - 16);
}
