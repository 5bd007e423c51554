// GGUF Q8_K: an f32 d, 256 signed bytes, and sums that say nothing more; value = d · byte.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 256, 292);
  uint codes[8] = kNoCodes;
  join_bits(block + 4 + k % 256, 0, 255, 0, codes);
  c = Codes(codes, vec2(uintBitsToFloat(word_at(block))), vec2(0.0));
}
