// GGUF TQ1_0: five trits a byte, an f16 d; value = d · (code − 1). A byte is a fraction of 256ths whose digits in base
// three are its codes: of 32 bytes weights 32n + i are digit n of byte i, of 16 bytes then likewise 160 + 16n + i, and
// of the last four, four digits.
const bool kShifted = false;

const uint kPowers[5] = uint[5](1, 3, 9, 27, 81);

/// Digit n of each of four bytes.
uint digits(uint bytes, uint n) {
  uint four = 0;
  for (uint i = 0; i < 4; ++i) four |= ((bytes >> 8 * i & 255u) * kPowers[n] & 255u) * 3 >> 8 << 8 * i;
  return four;
}

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t block = block_at(row, k, 256, 54);
  uint codes[8];
  for (uint i = 0; i < 8; ++i) {
    const uint at = k % 256 + 4 * i;  // of four weights
    if (at < 160) codes[i] = digits(word_at(block + at % 32), at / 32);
    else if (at < 240) codes[i] = digits(word_at(block + 32 + at % 16), (at - 160) / 16);
    else codes[i] = digits(word_at(block + 48), (at - 240) / 4);
  }
  scale_codes(codes, 1, vec2(half_at(block + 52)), c);
}
