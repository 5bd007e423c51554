// Integers in vectors of NEON. Included inside a unit's unnamed namespace, after its vectors of floats, so that what
// the unit's files share is written once and still has no external linkage.

/// The largest magnitude's bits; n is a multiple of 4.
inline std::uint32_t max_magnitude(const float* x, int n) {
  uint32x4_t most = vdupq_n_u32(0);
  for (int i = 0; i < n; i += 4) {
    most = vmaxq_u32(most, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + i))));
  }
  return vmaxvq_u32(most);
}

inline int32x4_t load_ints(const float* p) { return vreinterpretq_s32_f32(vld1q_f32(p)); }

// ---- activations as integers ---------------------------------------------------------------------------------------

/// Eight activations, and their sum added to `total`.
inline int16x8_t round_eight(const float* x, float inverse, int32x4_t& total) {
  const int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), inverse));
  const int32x4_t high = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4), inverse));
  total = vaddq_s32(total, vaddq_s32(low, high));
  return vcombine_s16(vmovn_s32(low), vmovn_s32(high));
}

/// The rounding of a row: `kMost` is the largest; an activation takes `kBytes`, and the next one is `kStep` further on.
struct RoundedBytes {
  static constexpr int kBytes = 1, kStep = 1;
  static constexpr float kMost = 127.f;
  static std::int32_t round(const float* x, int n, float inverse, unsigned char* q, std::int64_t) {
    int32x4_t total = vdupq_n_s32(0);
    for (int i = 0; i < n; i += 8)
      vst1_s8(reinterpret_cast<std::int8_t*>(q + i), vmovn_s16(round_eight(x + i, inverse, total)));
    return vaddvq_s32(total);
  }
};
/// x = 256 · high + low, both of eight bits: a row has first all high halves, then, `half` bytes further on, all low
/// ones.
struct RoundedHalves {
  static constexpr int kBytes = 2, kStep = 1;
  static constexpr float kMost = 32512.f;
  static std::int32_t round(const float* x, int n, float inverse, unsigned char* q, std::int64_t half) {
    int32x4_t total = vdupq_n_s32(0);
    for (int i = 0; i < n; i += 8) {
      const int16x8_t v = round_eight(x + i, inverse, total);
      vst1_s8(reinterpret_cast<std::int8_t*>(q + i), vshrn_n_s16(vaddq_s16(v, vdupq_n_s16(128)), 8));
      vst1_s8(reinterpret_cast<std::int8_t*>(q + half + i), vmovn_s16(v));  // modulo 256 the low half is v itself
    }
    return vaddvq_s32(total);
  }
};

/// Signed products take codes of eight bits less 128. What that leaves out, 128 · x, twice 64 brings back exactly.
inline int32x4_t add_128(int32x4_t sum, int8x16_t x) {
  return vdotq_s32(vdotq_s32(sum, x, vdupq_n_s8(64)), x, vdupq_n_s8(64));
}

// ---- codes ---------------------------------------------------------------------------------------------------------

/// How eight codes come out of sixteen bytes: the two bytes that hold each, and how far to shift them.
struct Extract {
  alignas(16) std::uint8_t bytes[16];
  alignas(16) std::int16_t shift[8];
};
/// Piece p, of eight codes, begins at byte p · bits; of `total` bytes the last sixteen hold those at the end.
constexpr int window_start(int bits, int total, int piece) {
  return bits * piece + 16 <= total ? bits * piece : total - 16;
}
constexpr Extract extract_of(int bits, int skip) {
  Extract e{};
  for (int i = 0; i < 8; ++i) {
    const int byte = skip + i * bits / 8;
    e.bytes[2 * i] = static_cast<std::uint8_t>(byte);
    e.bytes[2 * i + 1] = static_cast<std::uint8_t>(byte + 1);  // past the sixteen: zero, and not needed
    e.shift[i] = static_cast<std::int16_t>(-(i * bits % 8));
  }
  return e;
}
template <int kBits, int kSkip>
constexpr Extract kExtract = extract_of(kBits, kSkip);

/// Piece kPiece of a stream of kTotal bytes, at least 16: a code in the low bits of each word, what follows it above.
template <int kBits, int kTotal, int kPiece>
inline uint8x16_t piece_of(const unsigned char* in) {
  constexpr int kStart = window_start(kBits, kTotal, kPiece);
  const Extract& e = kExtract<kBits, kBits * kPiece - kStart>;
  const uint8x16_t words = vqtbl1q_u8(vld1q_u8(in + kStart), vld1q_u8(e.bytes));
  return vreinterpretq_u8_u16(vshlq_u16(vreinterpretq_u16_u8(words), vld1q_s16(e.shift)));
}
/// Two pieces, a code in each byte.
template <int kBits>
inline uint8x16_t codes_of(uint8x16_t first, uint8x16_t second) {
  return vandq_u8(vuzp1q_u8(first, second), vdupq_n_u8((1 << kBits) - 1));
}

/// Byte i of eight, sixteen or 32 bytes from as many bits: 16 where bit i is set.
inline uint8x16_t fifth_bits(uint8x16_t bytes) {
  const uint8x16_t one_each = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
  return vandq_u8(vtstq_u8(bytes, one_each), vdupq_n_u8(16));
}
