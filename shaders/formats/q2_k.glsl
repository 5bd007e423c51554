// GGUF Q2_K: 16 bytes of a 4-bit scale (low) and minimum (high) for each 16 weights, 64 bytes of codes, f16 d and dmin;
// value = d · scale · code − dmin · minimum.
const bool kShifted = true;

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 256, 84);
  const uint s = k % 256 / 32, pairs = half_bits(block + 2 * s);
  const float d = half_at(block + 80), dmin = half_at(block + 82);
  uint codes[8] = kNoCodes;
  join_bits(block + 16 + s / 4 * 32, s % 4 * 2, 3, 0, codes);
  const vec2 scale = d * vec2(pairs & 15u, pairs >> 8 & 15u), bias = -(dmin * vec2(pairs >> 4 & 15u, pairs >> 12));
  c = Codes(codes, scale, bias);
}
