// GGUF Q3_K: 32 bytes of third bits, bit s of byte i that of weight 32s + i; 64 bytes of low bits as in Q2_K; 12 bytes
// of 16 scales of six bits: low halves of g and g + 8 share a byte, high halves of g, g + 4, g + 8 and g + 12; an f16 d;
// value = d · (scale − 32) · (code − 4).
const bool kShifted = false;

float scale_of(uint64_t packed, uint g) {
  const uint low = byte_at(packed + g % 8) >> g / 8 * 4 & 15u, high = byte_at(packed + 8 + g % 4) >> g / 4 * 2 & 3u;
  return float(int(low | high << 4) - 32);
}

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 256, 110);
  const uint s = k % 256 / 32;
  const float d = half_at(block + 108);
  uint codes[8] = kNoCodes;
  join_bits(block + 32 + s / 4 * 32, s % 4 * 2, 3, 0, codes);
  join_bits(block, s, 1, 2, codes);
  scale_codes(codes, 4, d * vec2(scale_of(block + 96, 2 * s), scale_of(block + 96, 2 * s + 1)), c);
}
