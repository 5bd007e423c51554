// GGUF Q6_K: 128 bytes of low nibbles, 64 bytes of high pairs of bits, 16 signed scales, an f16 d;
// value = d · scale · (code − 32). Of each 64 bytes of nibbles and 32 of pairs, weights 32s … 32s + 31 are nibble s / 2
// of bytes 32 (s % 2) on, and pair s.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 256, 210);
  const uint s = k % 256 / 32;
  const int scales = int(half_bits(block + 192 + 2 * s));
  uint codes[8] = kNoCodes;
  join_bits(block + s / 4 * 64 + s % 2 * 32, s % 4 / 2 * 4, 15, 0, codes);
  join_bits(block + 128 + s / 4 * 32, s % 4 * 2, 3, 4, codes);
  scale_codes(codes, 32, half_at(block + 208) * vec2(bitfieldExtract(scales, 0, 8), bitfieldExtract(scales, 8, 8)), c);
}
