// GGUF IQ4_XS: an f16 d; high pairs of bits of eight scales, the first lowest; their low nibbles; then, for each of
// them, 16 bytes of nibbles as in IQ4_NL; value = d · (scale − 32) · number.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 256, 136);
  const uint s = k % 256 / 32;
  const uint six = byte_at(block + 4 + s / 2) >> s % 2 * 4 & 15u | (half_bits(block + 2) >> 2 * s & 3u) << 4;
  uint codes[8];
  read_nibbles(block + 8 + 16 * s, codes);
  scale_named(codes, vec2(half_at(block) * float(int(six) - 32)), c);
}
