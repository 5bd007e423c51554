// How codes and numbers stand in bytes, where several formats agree.
#pragma once

/// Two bytes, the low one first.
inline std::uint16_t half_bits(const unsigned char* p) { return static_cast<std::uint16_t>(p[0] | p[1] << 8); }
inline std::uint32_t word_bits(const unsigned char* p) {
  return half_bits(p) | static_cast<std::uint32_t>(half_bits(p + 2)) << 16;
}
inline void put_half(unsigned char* p, std::uint16_t bits) {
  p[0] = static_cast<unsigned char>(bits);
  p[1] = static_cast<unsigned char>(bits >> 8);
}
inline void put_word(unsigned char* p, std::uint32_t bits) {
  put_half(p, static_cast<std::uint16_t>(bits));
  put_half(p + 2, static_cast<std::uint16_t>(bits >> 16));
}

/// 256 codes of two bits: of each 32 bytes, bits 2s and 2s + 1 are weights 32s … 32s + 31.
inline void pairs_of_bits(const unsigned char* q, std::uint8_t* __restrict codes) {
  for (int half = 0; half < 2; ++half, q += 32) {
    for (int s = 0; s < 4; ++s, codes += 32) {
      for (int i = 0; i < 32; ++i) codes[i] = static_cast<std::uint8_t>(q[i] >> 2 * s & 3);
    }
  }
}
inline void pack_pairs_of_bits(const std::uint8_t* codes, unsigned char* q) {
  for (int half = 0; half < 2; ++half, q += 32, codes += 128) {
    for (int i = 0; i < 32; ++i) {
      q[i] = static_cast<unsigned char>(codes[i] | codes[i + 32] << 2 | codes[i + 64] << 4 | codes[i + 96] << 6);
    }
  }
}

/// `count` bytes of nibbles, byte i those of weights i (low) and i + count.
inline void pack_nibbles(const std::uint8_t* codes, int count, unsigned char* q) {
  for (int i = 0; i < count; ++i) q[i] = static_cast<unsigned char>(codes[i] | codes[i + count] << 4);
}
inline void unpack_nibbles(const unsigned char* q, int count, std::uint8_t* __restrict codes) {
  for (int i = 0; i < count; ++i) codes[i] = q[i] & 15;
  for (int i = 0; i < count; ++i) codes[i + count] = q[i] >> 4;
}
