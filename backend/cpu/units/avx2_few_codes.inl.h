// How streams of bits become codes for AVX2's few-row products: vectors in which each of four blocks has eight bytes.
// Included inside a unit's unnamed namespace after its floats, integers and Codes.

inline __m256i halves(const unsigned char* low, const unsigned char* high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(load128(low)), load128(high), 1);
}
/// Sixteen bytes of each of four blocks, `stride` apart: the first eight of all, and the last eight.
[[gnu::always_inline]] inline void pieces_of(const unsigned char* in, int stride, __m256i (&out)[2]) {
  const __m256i even = halves(in, in + 2 * stride), odd = halves(in + stride, in + 3 * stride);
  out[0] = _mm256_unpacklo_epi64(even, odd);
  out[1] = _mm256_unpackhi_epi64(even, odd);
}

/// Codes that share a byte, or a window of sixteen bits where none ends with a byte.
constexpr int codes_per_window(int bits) { return bits == 3 ? 4 : bits == 8 ? 1 : bits == 2 ? 4 : 2; }

/// Where eight windows lie in sixteen bytes that begin `skip` before them, and the factors that shift their last code
/// to the top.
struct Windows {
  alignas(16) std::uint8_t bytes[16];
  alignas(16) std::uint16_t factors[8];
};
constexpr Windows windows(int bits, int skip) {
  Windows w{};
  const int width = codes_per_window(bits) * bits;
  for (int i = 0; i < 8; ++i) {
    const int bit = i * width, byte = bit / 8 + skip;
    w.bytes[2 * i] = static_cast<std::uint8_t>(byte);
    w.bytes[2 * i + 1] = static_cast<std::uint8_t>(byte + 1);
    w.factors[i] = static_cast<std::uint16_t>(1 << (16 - width - bit % 8));
  }
  return w;
}
template <int kBits, int kSkip>
constexpr Windows kWindows = windows(kBits, kSkip);

template <int kBits, int kSkip>
[[gnu::always_inline]] inline __m256i windows_of(const unsigned char* low, const unsigned char* high) {
  const Windows& w = kWindows<kBits, kSkip>;
  const __m256i bytes =
      _mm256_shuffle_epi8(halves(low - kSkip, high - kSkip), _mm256_broadcastsi128_si256(load128(w.bytes)));
  return _mm256_mullo_epi16(bytes, _mm256_broadcastsi128_si256(load128(w.factors)));
}
/// Three, five and six bits: each vector of words, a code in each, meets that of the neighbouring blocks. Sixteen bytes
/// are read of which no one is behind the four blocks.
template <int kBits>
[[gnu::always_inline]] inline void codes_in_windows(const unsigned char* in, Codes (&codes)[4]) {
  constexpr int kBlock = 4 * kBits, kPer = codes_per_window(kBits), kPart = kPer * kBits, kParts = 4 / kPer;
  each<kParts>([&](auto part) __attribute__((always_inline)) {
    const unsigned char* from = in + part * kPart;
    constexpr int kOdd = part + 1 == kParts ? 16 - kPart : 0, kEven = kParts == 1 ? 0 : kOdd;
    const __m256i even = windows_of<kBits, kEven>(from, from + 2 * kBlock);
    const __m256i odd = windows_of<kBits, kOdd>(from + kBlock, from + 3 * kBlock);
#pragma GCC unroll 4
    for (int i = 0; i < kPer; ++i) {
      const auto code = [&](__m256i v) {
        v = _mm256_srli_epi16(v, 16 - (kPer - i) * kBits);
        return i + 1 == kPer ? v : _mm256_and_si256(v, _mm256_set1_epi16((1 << kBits) - 1));
      };
      codes[part * kPer + i].v = _mm256_packus_epi16(code(even), code(odd));
    }
  });
}

/// The codes of four blocks, in the order of `window_order`.
template <int kBits>
[[gnu::always_inline]] inline void affine_half(const unsigned char* in, Codes (&codes)[4]) {
  const __m256i mask = _mm256_set1_epi8(static_cast<char>((1 << kBits) - 1));
  if constexpr (kBits == 2) {
    const __m256i all = load256(in);
#pragma GCC unroll 4
    for (int t = 0; t < 4; ++t) codes[t].v = _mm256_and_si256(_mm256_srli_epi16(all, 2 * t), mask);
  } else if constexpr (kBits == 4) {
    __m256i pieces[2];
    pieces_of(in, 16, pieces);
#pragma GCC unroll 4
    for (int t = 0; t < 4; ++t) codes[t].v = _mm256_and_si256(_mm256_srli_epi16(pieces[t / 2], t % 2 * 4), mask);
  } else if constexpr (kBits == 8) {
#pragma GCC unroll 2
    for (int part = 0; part < 2; ++part) {
      __m256i pieces[2];
      pieces_of(in + 16 * part, 32, pieces);
      codes[2 * part].v = pieces[0];
      codes[2 * part + 1].v = pieces[1];
    }
  } else {
    codes_in_windows<kBits>(in, codes);
  }
}
