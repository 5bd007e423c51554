// GGUF Q8_0: an f16 scale, 32 signed bytes; value = scale · code.
vec2 scale_and_bias(uint row, uint k) { return vec2(half_at(block_of(row, k, 34)), 0.0); }

void values_of_8(uint row, uint k, out float v[8]) {
  const uint64_t bytes = block_of(row, k, 34) + 2 + k % 32;
  const int low = int(word_at(bytes)), high = int(word_at(bytes + 4));
  for (int i = 0; i < 4; ++i) {
    v[i] = float(bitfieldExtract(low, 8 * i, 8));
    v[i + 4] = float(bitfieldExtract(high, 8 * i, 8));
  }
}
