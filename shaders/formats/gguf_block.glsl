// What GGUF's blocks of 32 weights share: where one lies, and reading bytes that are aligned to two.
uint64_t block_of(uint row, uint k, uint bytes) { return component(0, row) + uint64_t(k / 32 * bytes); }
float half_at(uint64_t at) { return float_of_half(uint(Half(at).value)); }
uint word_at(uint64_t at) { return uint(Half(at).value) | uint(Half(at + 2).value) << 16; }

/// Codes of weights [k, k + 8) from 16 bytes of nibbles: byte j holds weights j (low) and j + 16 (high); plus fifth bits.
void nibbles_of_8(uint64_t bytes, uint fifth, uint k, out uint code[8]) {
  const uint first = k % 32, shift = first >= 16 ? 4u : 0u;
  const uint low = word_at(bytes + first % 16) >> shift, high = word_at(bytes + first % 16 + 4) >> shift;
  for (uint i = 0; i < 8; ++i) {
    const uint nibble = (i < 4 ? low >> 8 * i : high >> 8 * (i - 4)) & 15u;
    code[i] = nibble | (fifth >> (first + i) & 1u) << 4;
  }
}
