// GGUF Q8_K: an f32 d, 256 signed bytes, and sums that say nothing more; value = d · byte.
void decode_32(uint row, uint k, out float w[32]) {
  const uint64_t block = block_at(row, k, 256, 292);
  uint codes[8] = kNoCodes;
  join_bits(block + 4 + k % 256, 0, 255, 0, codes);
  for (uint i = 0; i < 8; ++i) codes[i] ^= 0x80808080u;
  scale_codes(codes, 128, vec2(uintBitsToFloat(word_at(block))), w);
}
