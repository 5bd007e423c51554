// Codes of three bits: 64 weights are four words of their low two bits, of which byte i has weights i, i + 4, i + 8 and
// i + 12, and two of their high one, of which it has i, i + 4, … i + 28.
void read_three_bits(uint row, uint k, out uint four[8]) {
  const uint64_t block = component(0, row) + uint64_t(k / 64 * 24), low = block + uint64_t(k % 64 / 4);
  const uint words[2] = uint[2](read_word(0, low), read_word(0, low + 4)), high = read_word(0, block + uint64_t(16 + k % 64 / 8));
  for (uint i = 0; i < 8; ++i) four[i] = words[i / 4] >> 2 * (i % 4) & 0x03030303u | (high >> i & 0x01010101u) << 2;
}
