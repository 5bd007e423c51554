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

/// scale · (code − zero) + bias of codes of nibbles and fifth bits.
void decode_nibbles(uint nibbles[4], uint fifth, float scale, int zero, float bias, out float w[32]) {
  for (uint i = 0; i < 16; ++i) {
    const uint byte = nibbles[i / 4] >> 8 * (i % 4);
    const uint low = (byte & 15u) | (fifth >> i & 1u) << 4, high = (byte >> 4 & 15u) | (fifth >> (i + 16) & 1u) << 4;
    w[i] = scale * float(int(low) - zero) + bias;
    w[i + 16] = scale * float(int(high) - zero) + bias;
  }
}
