// GGUF Q4_0: an f16 scale, 16 bytes of nibbles; value = scale · (code − 8).
vec2 scale_and_bias(uint row, uint k) { return vec2(half_at(block_of(row, k, 18)), 0.0); }

void values_of_8(uint row, uint k, out float v[8]) {
  uint code[8];
  nibbles_of_8(block_of(row, k, 18) + 2, 0, k, code);
  for (uint i = 0; i < 8; ++i) v[i] = float(int(code[i]) - 8);
}
