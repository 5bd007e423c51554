// NEON with the dot products of bytes: a column of a block in a vector, a group in each lane.
#include <arm_neon.h>

#include "backend/cpu/units/few_rows.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/each.inl.h"
#include "backend/cpu/units/neon_floats.inl.h"
#include "backend/cpu/units/neon_integers.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"

constexpr int kPackedRows = 2;  // at once: their codes and sums fill the 32 registers

struct Columns {
  uint8x16_t v;

  static Columns load(const unsigned char* in, int half, int p) { return load(in, 16, half, p); }
  static Columns load(const unsigned char* in, int next, int half, int p) {
    return {vld1q_u8(in + p / 2 * half + p % 2 * next)};
  }
  static Columns low_bytes(Columns a, Columns b) { return {vzip1q_u8(a.v, b.v)}; }
  static Columns high_bytes(Columns a, Columns b) { return {vzip2q_u8(a.v, b.v)}; }
  static Columns low_words(Columns a, Columns b) { return of(vzip1q_u32(a.words(), b.words())); }
  static Columns high_words(Columns a, Columns b) { return of(vzip2q_u32(a.words(), b.words())); }
  static Columns low_pairs(Columns a, Columns b) {
    return {vreinterpretq_u8_u64(vzip1q_u64(vreinterpretq_u64_u8(a.v), vreinterpretq_u64_u8(b.v)))};
  }
  static Columns high_pairs(Columns a, Columns b) {
    return {vreinterpretq_u8_u64(vzip2q_u64(vreinterpretq_u64_u8(a.v), vreinterpretq_u64_u8(b.v)))};
  }
  static Columns even_words(Columns a, Columns b) { return of(vuzp1q_u32(a.words(), b.words())); }
  static Columns odd_words(Columns a, Columns b) { return of(vuzp2q_u32(a.words(), b.words())); }
  void spread(Columns (&out)[4]) const {
    out[0] = of(vdupq_laneq_u32(words(), 0));
    out[1] = of(vdupq_laneq_u32(words(), 1));
    out[2] = of(vdupq_laneq_u32(words(), 2));
    out[3] = of(vdupq_laneq_u32(words(), 3));
  }
  void doubled(Columns& even, Columns& odd) const {
    even = of(vtrn1q_u32(words(), words()));
    odd = of(vtrn2q_u32(words(), words()));
  }
  template <int kBy>
  Columns up() const {
    return of(vshlq_n_u32(words(), kBy));
  }
  template <int kBy>
  Columns down() const {
    return of(vshrq_n_u32(words(), kBy));
  }
  Columns down(const LaneShifts& by, int p) const {
    return of(vshlq_u32(words(), vnegq_s32(vreinterpretq_s32_u32(vld1q_u32(by.v + kLanes * p)))));
  }
  Columns bits(int mask) const { return {vandq_u8(v, vdupq_n_u8(static_cast<std::uint8_t>(mask)))}; }
  Columns with(Columns a, int mask) const { return {vorrq_u8(v, a.bits(mask).v)}; }
  Columns numbers(const Numbers& table) const { return {vqtbl1q_u8(vld1q_u8(table.v), v)}; }
  Columns pick(const LaneBytes& places, int p) const { return {vqtbl1q_u8(v, vld1q_u8(places.v + 16 * p))}; }
  Columns flipped() const { return {veorq_u8(v, vdupq_n_u8(128))}; }
  Columns around(int zero, Columns signs) const {
    const uint8x16_t each = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201)),
                     zeros = vdupq_n_u8(static_cast<std::uint8_t>(zero));
    return {vbslq_u8(vtstq_u8(signs.v, each), vsubq_u8(zeros, v), vaddq_u8(zeros, v))};
  }
  template <class Eight>
  [[gnu::always_inline]] static Columns rows(Eight eight, int r, int p) {
    const int first = r + p / 2 * 16 + p % 2 * 2;
    return {vcombine_u8(vcreate_u8(eight(first)), vcreate_u8(eight(first + 1)))};
  }

 private:
  uint32x4_t words() const { return vreinterpretq_u32_u8(v); }
  static Columns of(uint32x4_t words) { return {vreinterpretq_u8_u32(words)}; }
};

struct Sixteen {
  uint8x16_t v;

  static Sixteen load(const unsigned char* p) { return {vld1q_u8(p)}; }
  /// Four bytes, and those `step` further on.
  static Sixteen words(const unsigned char* p, int step) {
    unsigned char bytes[16];
    for (int i = 0; i < 4; ++i) __builtin_memcpy(bytes + 4 * i, p + i * step, 4);
    return load(bytes);
  }
  Sixteen pick(const LaneGroups& from) const { return {vqtbl1q_u8(v, vld1q_u8(from.v))}; }
  template <int kBy>
  Sixteen up() const {
    return {vreinterpretq_u8_u32(vshlq_n_u32(vreinterpretq_u32_u8(v), kBy))};
  }
  template <int kBy>
  Sixteen down() const {
    return {vreinterpretq_u8_u32(vshrq_n_u32(vreinterpretq_u32_u8(v), kBy))};
  }
  Sixteen down(const LaneShifts& by) const { return {Columns{v}.down(by, 0).v}; }
  Sixteen bits(int mask) const { return {vandq_u8(v, vdupq_n_u8(static_cast<std::uint8_t>(mask)))}; }
  Sixteen bits(const LaneGroups& masks) const { return {vandq_u8(v, vld1q_u8(masks.v))}; }
  Sixteen with(Sixteen a) const { return {vorrq_u8(v, a.v)}; }
  Sixteen unless(int n) const { return {vbicq_u8(v, vceqq_u8(v, vdupq_n_u8(static_cast<std::uint8_t>(n))))}; }
  Sixteen less(int n) const { return {vsubq_u8(v, vdupq_n_u8(static_cast<std::uint8_t>(n)))}; }
};

/// Numbers of lanes: of bytes that stand in their order, as integers and as bits of floats, and of floats for each
/// group.
inline uint8x8_t of_part(Sixteen a, int p) {
  unsigned char bytes[16];
  vst1q_u8(bytes, a.v);
  return load_four(bytes + kLanes * p);
}
inline F signed_of(Sixteen a, int p) {
  const int16x8_t words = vmovl_s8(vreinterpret_s8_u8(of_part(a, p)));
  return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)))};
}
inline F halves_from_bit_7(Sixteen a, int p) {
  const uint32x4_t bits = vshlq_n_u32(vmovl_u16(vget_low_u16(vmovl_u8(of_part(a, p)))), 20);
  return {vmulq_n_f32(vreinterpretq_f32_u32(bits), 0x1p112f)};  // those of fp32, subnormal or not
}
inline F of_blocks(const EightNumbers& blocks, const LaneShifts& order, int p) {
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = blocks[order.v[kLanes * p + i]];
  return load_f32(lanes);
}
inline void widen_halves(const EightWords& halves, EightNumbers& numbers) {
  for (int i = 0; i < 8; ++i) numbers[i] = half_to_float(halves[i]);
}
inline void widen_bfloats(const EightWords& words, EightNumbers& numbers) {
  numbers = __builtin_bit_cast(EightNumbers, __builtin_convertvector(words, EightBits) << 16);
}
inline void widen_bytes(const unsigned char* in, EightBits& bits) {
  using EightBytes = std::uint8_t __attribute__((vector_size(8)));
  EightBytes bytes;
  __builtin_memcpy(&bytes, in, sizeof bytes);
  bits = __builtin_convertvector(bytes, EightBits);
}
[[maybe_unused]] inline F of_groups(const float* groups, int, const LaneShifts& order, int p) {
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = groups[order.v[kLanes * p + i]];
  return load_f32(lanes);
}

constexpr int kFloatBytes = 2 * kLanes;
constexpr int place_of_float(int i) { return i; }
template <class Number>
constexpr float kFloatUnit = Number::kHalfUnit;
/// fp32 from bytes that are the bits of an f16 from bit kHalfShift on, but for their sign. Where they are fewer, all
/// but the sign set is no number.
template <class Number>
inline void floats_of_bytes(const unsigned char* in, F (&w)[2]) {
  constexpr int kShift = Number::kHalfShift;
  int16x8_t halves = vshlq_n_s16(vmovl_s8(vreinterpret_s8_u8(vld1_u8(in))), kShift);
  if constexpr (kShift < 8) {
    const int16x8_t sign = vdupq_n_s16(static_cast<std::int16_t>(0x8000)), most = vdupq_n_s16(127 << kShift);
    halves = vandq_s16(halves, vorrq_s16(sign, most));
    halves = vorrq_s16(halves, vreinterpretq_s16_u16(vceqq_s16(vbicq_s16(halves, sign), most)));
  }
  w[0].v = vcvt_f32_f16(vreinterpret_f16_s16(vget_low_s16(halves)));
  w[1].v = vcvt_f32_f16(vreinterpret_f16_s16(vget_high_s16(halves)));
}

// ---- schemes -------------------------------------------------------------------------------------------------------

inline void store_words(const unsigned char* bytes, int lane, std::int64_t step, unsigned char* out) {
  for (int t = 0; t < 4; ++t) __builtin_memcpy(out + step * t + 4 * lane, bytes + 4 * t, 4);
}
/// Codes · x. Signed products take codes of eight bits less 128.
template <int kBits>
inline int32x4_t dot(int32x4_t sum, Columns w, int8x16_t x) {
  if constexpr (kBits < 8) {
    return vdotq_s32(sum, vreinterpretq_s8_u8(w.v), x);
  } else {
    return add_128(vdotq_s32(sum, vreinterpretq_s8_u8(veorq_u8(w.v, vdupq_n_u8(128))), x), x);
  }
}
inline int8x16_t load_signed(const unsigned char* x) { return vreinterpretq_s8_u8(vld1q_u8(x)); }

/// x = 256 · high + low, both of eight bits: of each vector first the high bytes.
template <int kBits>
struct Standard {
  static constexpr int kBytes = 128;
  static constexpr float kMost = RoundedHalves::kMost;
  struct Sum {
    int32x4_t high, low;
  };
  struct Activations {
    int8x16_t high, low;
  };
  static std::int32_t round(const float* x, float inverse, int lane, unsigned char* out) {
    unsigned char bytes[32];
    const std::int32_t total = RoundedHalves::round(x, 16, inverse, bytes, 16);
    store_words(bytes, lane, 32, out);
    store_words(bytes + 16, lane, 32, out + 16);
    return total;
  }
  template <int t>
  static Activations load(const unsigned char* x) {
    return {load_signed(x + 32 * t), load_signed(x + 32 * t + 16)};
  }
  template <int>
  static void add(Sum& a, Columns w, Activations x) {
    a.high = dot<kBits>(a.high, w, x.high);
    a.low = dot<kBits>(a.low, w, x.low);
  }
  static int32x4_t total(Sum a) { return vaddq_s32(vshlq_n_s32(a.high, 8), a.low); }
};

template <int kBits>
struct Fast {
  static constexpr int kBytes = 64;
  static constexpr float kMost = RoundedBytes::kMost;
  struct Sum {
    int32x4_t v;
  };
  static std::int32_t round(const float* x, float inverse, int lane, unsigned char* out) {
    unsigned char bytes[16];
    const std::int32_t total = RoundedBytes::round(x, 16, inverse, bytes, 0);
    store_words(bytes, lane, 16, out);
    return total;
  }
  template <int t>
  static int8x16_t load(const unsigned char* x) {
    return load_signed(x + 16 * t);
  }
  template <int>
  static void add(Sum& a, Columns w, int8x16_t x) {
    a.v = dot<kBits>(a.v, w, x);
  }
  static int32x4_t total(Sum a) { return a.v; }
};

inline F numbers_of_sums(int32x4_t sums) { return {vcvtq_f32_s32(sums)}; }
inline F numbers_of_sums(int32x4_t sums, const unsigned char* more) {
  return numbers_of_sums(vaddq_s32(sums, vreinterpretq_s32_u8(vld1q_u8(more))));
}

#include "backend/cpu/units/few_blocks.inl.h"
#include "backend/cpu/units/few_streams.inl.h"
#include "backend/cpu/units/few_table.inl.h"

}  // namespace

const FewRowsKernels kNeonFewBlocks = {kFewKernels, sizeof(kFewKernels) / sizeof(FewRowsKernel)};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
