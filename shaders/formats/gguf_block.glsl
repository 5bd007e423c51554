// What GGUF's blocks of 32 weights share: a block's words, and 16 bytes of nibbles, of which byte j holds weights j (low) and
// j + 16 (high).
float low_half(uint word) { return float_of_half(word & 0xffffu); }
float high_half(uint word) { return float_of_half(word >> 16); }

/// The words of the block that holds weight k. A block whose size is no multiple of four may begin inside of one.
void read_block(uint row, uint k, uint bytes, out uint words[9]) {
  const uint64_t at = component(0, row) + uint64_t(k / 32 * bytes), first = at & ~3UL;
  const uint count = (bytes + 2) / 4, shift = 8 * (uint(at) & 2u);
  for (uint i = 0; i < count; ++i) words[i] = read_word(0, first + i * 4);
  for (uint i = 0; i < count && bytes % 4 != 0; ++i) words[i] = words[i] >> shift | (i + 1 < count ? words[i + 1] << 1 << 31 - shift : 0);
}

/// Four bytes from the middle of a word on.
uint straddling(uint words[9], uint i) { return words[i] >> 16 | words[i + 1] << 16; }

/// Codes of nibbles and fifth bits.
void join_nibbles(uint nibbles[4], uint fifth, out uint four[8]) {
  for (uint i = 0; i < 4; ++i) {
    // Four bits, each to its byte.
    const uint low = (fifth >> 4 * i & 15u) * 0x00204081u & 0x01010101u, high = (fifth >> 16 >> 4 * i & 15u) * 0x00204081u & 0x01010101u;
    four[i] = nibbles[i] & 0x0f0f0f0fu | low << 4;
    four[i + 4] = nibbles[i] >> 4 & 0x0f0f0f0fu | high << 4;
  }
}
