// What formats of bytes in blocks share: where a block lies, which may be anywhere, and how codes stand in its bytes.

/// Where the block begins that holds weight k.
uint64_t block_at(uint row, uint k, uint weights, uint bytes) { return component(0, row) + uint64_t(k / weights * bytes); }

uint byte_at(uint64_t at) { return read_word(0, at & ~3UL) >> 8 * (uint(at) & 3u) & 0xffu; }
/// Two bytes, from an even place on.
uint half_bits(uint64_t at) { return read_word(0, at & ~3UL) >> 8 * (uint(at) & 2u) & 0xffffu; }
float half_at(uint64_t at) { return float_of_half(half_bits(at)); }
/// Bytes from any place on; of the word behind them nothing is read where they end with one.
uint word_at(uint64_t at) {
  const uint shift = 8 * (uint(at) & 3u);
  return read_word(0, at & ~3UL) >> shift | read_word(0, at + 3 & ~3UL) << 1 << 31 - shift;
}
uvec4 quad_at(uint64_t at) {
  const uint64_t first = at & ~3UL;
  const uint shift = 8 * (uint(at) & 3u);
  const uvec4 words = uvec4(read_word(0, first), read_word(0, first + 4), read_word(0, first + 8), read_word(0, first + 12));
  return words >> shift | uvec4(words.yzw, read_word(0, at + 15 & ~3UL)) << 1 << 31 - shift;
}

/// Of 32 bytes, the bits of `mask` from `shift` on join the codes, `up` places higher. Four codes are a word.
void join_bits(uint64_t at, uint shift, uint mask, uint up, inout uint codes[8]) {
  for (uint i = 0; i < 2; ++i) {
    const uvec4 bits = (quad_at(at + i * 16) >> shift & mask * 0x01010101u) << up;
    for (uint j = 0; j < 4; ++j) codes[4 * i + j] |= bits[j];
  }
}
/// Of 16 bytes all low nibbles, then all high ones.
void read_nibbles(uint64_t at, out uint codes[8]) {
  const uvec4 quad = quad_at(at);
  for (uint i = 0; i < 4; ++i) {
    codes[i] = quad[i] & 0x0f0f0f0fu;
    codes[i + 4] = quad[i] >> 4 & 0x0f0f0f0fu;
  }
}
const uint kNoCodes[8] = uint[8](0, 0, 0, 0, 0, 0, 0, 0);

/// scale · (code − zero).
void scale_codes(uint codes[8], uint zero, vec2 scale, out Codes c) {
  c.scale = scale;
  for (uint i = 0; i < 8; ++i) c.four[i] = less(codes[i], zero);
}
