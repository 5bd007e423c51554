// NEON with the dot products of bytes: in integer products a row of x has a lane.
#include <arm_neon.h>

#include "backend/cpu/math.h"
#include "backend/cpu/units/attention.h"
#include "backend/cpu/units/blocks.h"
#include "backend/cpu/units/few_rows.h"
#include "backend/cpu/units/probe.h"
#include "backend/cpu/units/unit.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/neon_floats.inl.h"
#include "backend/cpu/units/neon_integers.inl.h"

// ---- codes ---------------------------------------------------------------------------------------------------------

template <int kBits, int kTotal, int kVectors>
inline void unpack_vectors(const unsigned char* in, std::uint8_t* codes) {
  if constexpr (kVectors > 0) {
    constexpr int kLast = kVectors - 1;
    unpack_vectors<kBits, kTotal, kLast>(in, codes);
    const uint8x16_t first = piece_of<kBits, kTotal, 2 * kLast>(in),
                     second = piece_of<kBits, kTotal, 2 * kLast + 1>(in);
    vst1q_u8(codes + 16 * kLast, codes_of<kBits>(first, second));
  }
}
template <int kBits, int kCount>
inline void unpack_bits(const unsigned char* in, std::uint8_t* codes) {
  constexpr int kTotal = kCount * kBits / 8;
  if constexpr (kBits == 8) {
    __builtin_memcpy(codes, in, kCount);
  } else if constexpr (kTotal < 16) {
    unsigned char few[16] = {};
    __builtin_memcpy(few, in, kTotal);
    unpack_vectors<kBits, 16, kCount / 16>(few, codes);
  } else {
    unpack_vectors<kBits, kTotal, kCount / 16>(in, codes);
  }
}

/// The 32 codes of a GGUF block.
template <class B>
inline void unpack_block(const unsigned char* in, std::uint8_t* codes) {
  uint8x16_t v[2];
  if constexpr (B::zero == 128) {
    for (int i = 0; i < 2; ++i) v[i] = veorq_u8(vld1q_u8(in + B::low + 16 * i), vdupq_n_u8(128));
  } else {
    const uint8x16_t bytes = vld1q_u8(in + B::low);
    v[0] = vandq_u8(bytes, vdupq_n_u8(15));
    v[1] = vshrq_n_u8(bytes, 4);
  }
  if constexpr (B::high != 0) {
    for (int i = 0; i < 2; ++i) {
      const uint8x16_t spread = vcombine_u8(vdup_n_u8(in[B::high + 2 * i]), vdup_n_u8(in[B::high + 2 * i + 1]));
      v[i] = vorrq_u8(v[i], fifth_bits(spread));
    }
  }
  for (int i = 0; i < 2; ++i) vst1q_u8(codes + 16 * i, v[i]);
}

inline void transpose(const void* in, std::int64_t in_pitch, std::int64_t words, void* out, std::int64_t out_pitch) {
  const auto* from = static_cast<const unsigned char*>(in);
  auto* to = static_cast<unsigned char*>(out);
  for (; words >= 4; words -= 4, from += 16) {
    uint32x4_t r[4];
    for (int i = 0; i < 4; ++i) r[i] = vreinterpretq_u32_u8(vld1q_u8(from + i * in_pitch));
    transpose_words(r);
    for (int i = 0; i < 4; ++i, to += out_pitch) vst1q_u8(to, vreinterpretq_u8_u32(r[i]));
  }
  for (; words > 0; --words, from += 4, to += out_pitch) {
    for (int i = 0; i < 4; ++i) __builtin_memcpy(to + 4 * i, from + i * in_pitch, 4);
  }
}

// ---- integer products ----------------------------------------------------------------------------------------------

/// Dot products are of signed bytes: of codes of eight bits kOff is taken off, which X brings back for all rows of w.
template <int kOff>
struct Standard : RoundedHalves {
  static constexpr int kTake = 8, kRun = 64, kTileRows = 4, kCodeBytes = 1, kMostBits = 8;
  struct Total {
    int32x4_t high, low;
  };
  using Sums = Total;
  struct X {
    int8x16_t high[2], low[2];
    Sums off;
  };
  static X load(const unsigned char* p) {
    const auto* v = reinterpret_cast<const std::int8_t*>(p);
    X x = {{vld1q_s8(v), vld1q_s8(v + 32)}, {vld1q_s8(v + 16), vld1q_s8(v + 48)}, {}};
    if constexpr (kOff != 0) {
      x.off = {add_128(add_128(x.off.high, x.high[0]), x.high[1]), add_128(add_128(x.off.low, x.low[0]), x.low[1])};
    }
    return x;
  }
  static int8x8_t broadcast(const std::uint8_t* codes) {
    return vreinterpret_s8_u8(veor_u8(vld1_u8(codes), vdup_n_u8(kOff)));
  }
  static Total begin(const float* low) { return {vdupq_n_s32(0), load_ints(low)}; }
  static Sums start(const Total& total) { return total; }
  static void accumulate(Sums& sums, int8x8_t w, const X& x) {
    if constexpr (kOff != 0) sums = {vaddq_s32(sums.high, x.off.high), vaddq_s32(sums.low, x.off.low)};
    sums.high = vdotq_lane_s32(vdotq_lane_s32(sums.high, x.high[0], w, 0), x.high[1], w, 1);
    sums.low = vdotq_lane_s32(vdotq_lane_s32(sums.low, x.low[0], w, 0), x.low[1], w, 1);
  }
  static void finish(Total& total, const Sums& sums) { total = sums; }
  static F total(const Total& t) { return {vcvtq_f32_s32(vaddq_s32(vshlq_n_s32(t.high, 8), t.low))}; }
};

template <int kOff>
struct Fast : RoundedBytes {
  static constexpr int kTake = 16, kRun = 64, kTileRows = 8, kCodeBytes = 1, kMostBits = 8;
  using Total = int32x4_t;
  using Sums = int32x4_t;
  struct X {
    int8x16_t v[4];
    Sums off;
  };
  static X load(const unsigned char* p) {
    const auto* v = reinterpret_cast<const std::int8_t*>(p);
    X x = {{vld1q_s8(v), vld1q_s8(v + 16), vld1q_s8(v + 32), vld1q_s8(v + 48)}, {}};
    if constexpr (kOff != 0) {
      for (const int8x16_t some : x.v) x.off = add_128(x.off, some);
    }
    return x;
  }
  static int8x16_t broadcast(const std::uint8_t* codes) {
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(codes), vdupq_n_u8(kOff)));
  }
  static Total begin(const float* total) { return load_ints(total); }
  static Sums start(Total total) { return total; }
  static void accumulate(Sums& sums, int8x16_t w, const X& x) {
    if constexpr (kOff != 0) sums = vaddq_s32(sums, x.off);
    sums = vdotq_laneq_s32(vdotq_laneq_s32(sums, x.v[0], w, 0), x.v[1], w, 1);
    sums = vdotq_laneq_s32(vdotq_laneq_s32(sums, x.v[2], w, 2), x.v[3], w, 3);
  }
  static void finish(Total& total, Sums sums) { total = sums; }
  static F total(Total t) { return {vcvtq_f32_s32(t)}; }
};

#include "backend/cpu/units/generic.inl.h"
#include "backend/cpu/units/integer_tile.inl.h"

template <template <int> class Scheme>
void multiply_signed(const IntegerProduct& a) {
  return a.bits == 8 ? multiply<Scheme<128>>(a) : multiply<Scheme<0>>(a);
}

}  // namespace

const Unit kNeonUnit = {
    .name = "neon",
    .lanes = kLanes,
    .decoders = kDecoders<scatter_scales>,
    .decoder_count = kDecoderCount,
    .load = load_floats,
    .store = store_floats,
    .expand = expand,
    .transpose = transpose,
    .functions = kFunctions,
    .standard = scheme<Standard<0>>(multiply_signed<Standard>),
    .fast = scheme<Fast<0>>(multiply_signed<Fast>),
    .floats = &kNeonFloats,
    .few_rows = &kNeonFewRows,
    .attention = &kNeonAttention,
    .probes = &kNeonProbes,
    .bf16 = &kNeonBf16,
    .matrices = &kNeonI8mmMatrices,
};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
