// NEON with the dot products of bytes: chunks of 128 weights, in halves with two blocks in a vector.
#include <arm_neon.h>

#include "backend/cpu/units/blocks.h"
#include "backend/cpu/units/few_rows.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/neon_floats.inl.h"
#include "backend/cpu/units/neon_integers.inl.h"

constexpr int kPackedRows = 2;   // at once: their codes and sums fill the 32 registers
constexpr int kHalfVectors = 4;  // of the codes of half a chunk: piece j of vector t holds eight codes of block j

/// Signed, as the dot product takes them: those of eight bits less 128.
struct Codes {
  int8x16_t v;
};
/// A chunk of a packed row.
struct Chunk {
  Codes codes[2][kHalfVectors];
  F scale, bias;  ///< of the lane's block
};

/// The sums of two blocks, each in two lanes, and of the next two.
inline F join(int32x4_t first, int32x4_t second) { return {vcvtq_f32_s32(vpaddq_s32(first, second))}; }
constexpr int lane_of(int block) { return block; }

// ---- schemes -------------------------------------------------------------------------------------------------------

/// The lanes of a chunk's blocks below `end`, or of those from `begin` on; the others are zero.
inline uint32x4_t is_below(int end) {
  constexpr std::uint32_t kPlaces[] = {0, 1, 2, 3};
  return vcltq_u32(vld1q_u32(kPlaces), vdupq_n_u32(static_cast<std::uint32_t>(end)));
}
inline F blocks_below(int end, F a) {
  return {vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a.v), is_below(end)))};
}
inline F blocks_from(int begin, F a) {
  return {vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(a.v), is_below(begin)))};
}
/// 32 rounded activations, in the format's order, to piece j of four vectors.
inline void store_pieces(const unsigned char* bytes, const std::uint8_t* order, int j, unsigned char* out) {
  const uint8x16x2_t block = {{vld1q_u8(bytes), vld1q_u8(bytes + 16)}};
  for (int t = 0; t < 4; ++t) vst1_u8(out + 16 * t + 8 * j, vqtbl2_u8(block, vld1_u8(order + 8 * t)));
}

struct Bytes {
  static constexpr int kBytes = 16;
  static constexpr float kMost = RoundedBytes::kMost;
  struct Sum {
    int32x4_t v;
  };
  static std::int32_t round(const float* x, float inverse, const std::uint8_t* order, int j, unsigned char* out) {
    unsigned char bytes[kFewBlock];
    const std::int32_t total = RoundedBytes::round(x, kFewBlock, inverse, bytes, 0);
    store_pieces(bytes, order, j, out);
    return total;
  }
  static int8x16_t load(const unsigned char* x, int t) {
    return vld1q_s8(reinterpret_cast<const std::int8_t*>(x) + 16 * t);
  }
  static void add(Sum& a, Codes w, int8x16_t x) { a.v = vdotq_s32(a.v, w.v, x); }
  static int32x4_t total(Sum a) { return a.v; }
};

/// Both halves of activations: first the high ones, then the low ones.
struct Halves {
  static constexpr int kBytes = 32, kLow = kHalfVectors * 16;
  static constexpr float kMost = RoundedHalves::kMost;
  struct Sum {
    int32x4_t high, low;
  };
  struct Activations {
    int8x16_t high, low;
  };
  static std::int32_t round(const float* x, float inverse, const std::uint8_t* order, int j, unsigned char* out) {
    unsigned char bytes[2 * kFewBlock];
    const std::int32_t total = RoundedHalves::round(x, kFewBlock, inverse, bytes, kFewBlock);
    store_pieces(bytes, order, j, out);
    store_pieces(bytes + kFewBlock, order, j, out + kLow);
    return total;
  }
  static Activations load(const unsigned char* x, int t) { return {Bytes::load(x, t), Bytes::load(x + kLow, t)}; }
  static void add(Sum& a, Codes w, Activations x) {
    a.high = vdotq_s32(a.high, w.v, x.high);
    a.low = vdotq_s32(a.low, w.v, x.low);
  }
  static int32x4_t total(Sum a) { return vaddq_s32(vshlq_n_s32(a.high, 8), a.low); }
};

/// The same for codes less 128.
struct BytesOff : Bytes {
  static void add(Sum& a, Codes w, int8x16_t x) { a.v = add_128(vdotq_s32(a.v, w.v, x), x); }
};
struct HalvesOff : Halves {
  static void add(Sum& a, Codes w, Activations x) {
    a.high = add_128(vdotq_s32(a.high, w.v, x.high), x.high);
    a.low = add_128(vdotq_s32(a.low, w.v, x.low), x.low);
  }
};

template <bool kOff>
struct Schemes {
  using Standard = Halves;
  using Fast = Bytes;
};
template <>
struct Schemes<true> {
  using Standard = HalvesOff;
  using Fast = BytesOff;
};

#include "backend/cpu/units/few_rows.inl.h"

// ---- codes ---------------------------------------------------------------------------------------------------------

inline uint8x16_t first_halves(uint8x16_t a, uint8x16_t b) {
  return vreinterpretq_u8_u64(vzip1q_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b)));
}
inline uint8x16_t second_halves(uint8x16_t a, uint8x16_t b) {
  return vreinterpretq_u8_u64(vzip2q_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b)));
}
/// Codes of `bits` bits from bit `shift` of each byte on.
inline int8x16_t low_bits(uint8x16_t bytes, int shift, int bits) {
  const uint8x16_t low = vshlq_u8(bytes, vdupq_n_s8(static_cast<std::int8_t>(-shift)));
  return vreinterpretq_s8_u8(vandq_u8(low, vdupq_n_u8(static_cast<std::uint8_t>((1 << bits) - 1))));
}
/// Bytes of two blocks of 32, with these bits flipped.
inline void byte_codes(const unsigned char* first, const unsigned char* second, std::uint8_t flipped,
                       Codes (&codes)[4]) {
  for (int h = 0; h < 2; ++h) {
    const uint8x16_t a = veorq_u8(vld1q_u8(first + 16 * h), vdupq_n_u8(flipped));
    const uint8x16_t b = veorq_u8(vld1q_u8(second + 16 * h), vdupq_n_u8(flipped));
    codes[2 * h].v = vreinterpretq_s8_u8(first_halves(a, b));
    codes[2 * h + 1].v = vreinterpretq_s8_u8(second_halves(a, b));
  }
}

// ---- bit streams ---------------------------------------------------------------------------------------------------

/// Eight codes from each block of a chunk, in order.
template <int kBits, int kPiece>
inline int8x16_t stream_codes(const unsigned char* in) {
  const uint8x16_t first = piece_of<kBits, 8 * kBits, kPiece>(in), second = piece_of<kBits, 8 * kBits, 4 + kPiece>(in);
  return vreinterpretq_s8_u8(codes_of<kBits>(first, second));
}

template <int kBits>
[[gnu::always_inline]] inline void affine_chunk(const unsigned char* in, Codes (&codes)[4]) {
  if constexpr (kBits == 2) {
    const uint8x16_t all = vld1q_u8(in);
    for (int t = 0; t < 4; ++t) codes[t].v = low_bits(all, 2 * t, 2);
  } else if constexpr (kBits == 4) {
    const uint8x16_t first = vld1q_u8(in), second = vld1q_u8(in + 16);
    const uint8x16_t half[2] = {first_halves(first, second), second_halves(first, second)};
    for (int t = 0; t < 4; ++t) codes[t].v = low_bits(half[t / 2], t % 2 * 4, 4);
  } else if constexpr (kBits == 8) {
    byte_codes(in, in + 32, 128, codes);
  } else {
    codes[0].v = stream_codes<kBits, 0>(in);
    codes[1].v = stream_codes<kBits, 1>(in);
    codes[2].v = stream_codes<kBits, 2>(in);
    codes[3].v = stream_codes<kBits, 3>(in);
  }
}
/// Numbers of a row, each for a lane.
inline F four_of(const unsigned char* p, Element element, const std::int64_t (&at)[4]) {
  if (element == Element::f32) {
    float lanes[4];
    for (int i = 0; i < 4; ++i) __builtin_memcpy(&lanes[i], p + 4 * at[i], 4);
    return load_f32(lanes);
  }
  std::uint16_t lanes[4];
  for (int i = 0; i < 4; ++i) __builtin_memcpy(&lanes[i], p + 2 * at[i], 2);
  return element == Element::f16 ? load_f16(lanes) : load_bf16(lanes);
}

/// Chunk c of a row.
struct ChunkPlace {
  RowBytes row;
  std::int64_t c;
};
/// Sources that find the end of a row themselves.
struct CountedChunks {
  using Place = ChunkPlace;
  Place place(const RowBytes& row) const { return {row, 0}; }
  void next(Place& at) const { ++at.c; }
};

/// MLX triplets: a stream of bits, scales, biases.
template <int kBits>
class AffineSource : public Schemes<kBits == 8>, public CountedChunks {
 public:
  static constexpr Order kOrder = affine_order(kBits);
  explicit AffineSource(const RowPart& a)
      : element_(a.scale),
        codes_(a.begin / 8 * kBits),
        bytes_(a.count / 8 * kBits),
        block_(a.begin / kFewBlock),
        last_((a.begin + a.count) / kFewBlock - 1),
        shift_(__builtin_ctz(static_cast<unsigned>(a.group / kFewBlock))) {}
  template <bool kWhole>
  [[gnu::always_inline]] Chunk chunk(const Place& place, std::int64_t) const {
    const auto& [row, c] = place;
    Chunk chunk;
    const unsigned char* codes = row.component[0] + codes_ + c * 2 * kHalf;
    const std::int64_t left = bytes_ - c * 2 * kHalf;
    half(codes, left, chunk.codes[0]);
    half(codes + kHalf, left - kHalf, chunk.codes[1]);
    std::int64_t groups[4];  // past the end the last one again
    for (int i = 0; i < 4; ++i) {
      const std::int64_t block = block_ + 4 * c + i;
      groups[i] = (block < last_ ? block : last_) >> shift_;
    }
    chunk.scale = four_of(row.component[1], element_, groups);
    chunk.bias = four_of(row.component[2], element_, groups);
    return chunk;
  }

 private:
  static constexpr int kHalf = 8 * kBits;
  /// The codes of half a chunk, of which the row has `bytes`: the rest is zero.
  [[gnu::always_inline]] static void half(const unsigned char* in, std::int64_t bytes, Codes (&codes)[4]) {
    if (bytes >= kHalf) [[likely]]
      return affine_chunk<kBits>(in, codes);
    unsigned char some[kHalf] = {};
    if (bytes > 0) __builtin_memcpy(some, in, kHalf / 2);
    affine_chunk<kBits>(some, codes);
  }

  Element element_;
  std::int64_t codes_, bytes_, block_, last_;
  int shift_;
};

// ---- GGUF ----------------------------------------------------------------------------------------------------------

/// A block begins with its scale, and its minimum if it has one.
template <class B>
class BlockSource : public Schemes<false>, public CountedChunks {
 public:
  static constexpr Order kOrder = affine_order(8);
  explicit BlockSource(const RowPart& a) : begin_(a.begin / 32 * B::kHalf), last_(a.count / 32 - 1) {}
  template <bool kWhole>
  [[gnu::always_inline]] Chunk chunk(const Place& place, std::int64_t) const {
    const auto& [row, c] = place;
    Chunk chunk;
    const unsigned char* first = row.component[0] + begin_ + c * 4 * B::kHalf;
    std::int64_t at[4];  // past the end the last one again
    for (int i = 0; i < 4; ++i) at[i] = (4 * c + i < last_ ? i : last_ - 4 * c) * B::kHalf;
    read_codes(first + at[0], first + at[1], chunk.codes[0]);
    read_codes(first + at[2], first + at[3], chunk.codes[1]);
    const std::int64_t halves[4] = {at[0] / 2, at[1] / 2, at[2] / 2, at[3] / 2};
    chunk.scale = four_of(first, Element::f16, halves);
    if constexpr (B::zero == 128) {
      chunk.bias = broadcast(0);  // its codes are signed
    } else if constexpr (B::minimum != 0) {
      chunk.bias = four_of(first + B::minimum, Element::f16, halves);
    } else {
      chunk.bias = mul(chunk.scale, broadcast(-B::zero));
    }
    return chunk;
  }

 private:
  [[gnu::always_inline]] static void read_codes(const unsigned char* first, const unsigned char* second,
                                                Codes (&codes)[4]) {
    if constexpr (B::zero == 128) {
      byte_codes(first + B::low, second + B::low, 0, codes);
    } else {
      const uint8x16_t a = vld1q_u8(first + B::low), b = vld1q_u8(second + B::low);
      const uint8x16_t half[2] = {first_halves(a, b), second_halves(a, b)};
      for (int t = 0; t < 4; ++t) codes[t].v = low_bits(half[t % 2], t / 2 * 4, 4);
    }
    if constexpr (B::high != 0) {
      for (int t = 0; t < 4; ++t) {
        const uint8x16_t spread = vcombine_u8(vdup_n_u8(first[B::high + t]), vdup_n_u8(second[B::high + t]));
        codes[t].v = vorrq_s8(codes[t].v, vreinterpretq_s8_u8(fifth_bits(spread)));
      }
    }
  }

  std::int64_t begin_, last_;
};

}  // namespace

const FewRowsUnit kNeonFewRows = few_rows_unit<AffineSource, BlockSource>(10, 10, &kNeonFewBlocks);

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
