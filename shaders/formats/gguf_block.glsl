// What GGUF's blocks of 32 weights share: where one lies, and 16 bytes of nibbles, of which byte j holds weights j (low) and
// j + 16 (high). Blocks whose size is no multiple of four are read in halves of a word.
uint64_t block_of(uint row, uint k, uint bytes) { return component(0, row) + uint64_t(k / 32 * bytes); }
float low_half(uint word) { return float_of_half(word & 0xffffu); }
float high_half(uint word) { return float_of_half(word >> 16); }
uint half_at(uint64_t at) { return uint(Half(at).value); }
uint word_at(uint64_t at) { return half_at(at) | half_at(at + 2) << 16; }

/// scale · (code − zero) + bias of codes of nibbles and fifth bits.
void decode_nibbles(uint nibbles[4], uint fifth, float scale, int zero, float bias, out float w[32]) {
  for (uint i = 0; i < 16; ++i) {
    const uint byte = nibbles[i / 4] >> 8 * (i % 4);
    const uint low = (byte & 15u) | (fifth >> i & 1u) << 4, high = (byte >> 4 & 15u) | (fifth >> (i + 16) & 1u) << 4;
    w[i] = scale * float(int(low) - zero) + bias;
    w[i + 16] = scale * float(int(high) - zero) + bias;
  }
}
