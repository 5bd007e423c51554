// GGUF MXFP4 (OCP Microscaling Formats): an exponent, 16 bytes of nibbles, byte i that of weights i (low) and i + 16;
// value = 2^(exponent − 128) · number. The two smallest are subnormal, which a device may take for zero.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 32, 17);
  const uint exponent = byte_at(block);
  uint codes[8];
  read_nibbles(block + 1, codes);
  scale_named(codes, vec2(uintBitsToFloat(exponent < 2 ? 0x00200000u << exponent : exponent - 1 << 23)), c);
}
