#include <arm_neon.h>

#include "backend/cpu/units/attention.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/neon_floats.inl.h"

constexpr int kAcross = 8;  // keys, or columns of values, of a register tile
constexpr int kFewRows = 4, kFewColumns = 4;

inline F select(uint32x4_t condition, F a, F b) { return {vbslq_f32(condition, a.v, b.v)}; }
/// Of a NaN and a number the second.
inline F larger(F a, F b) { return select(vcgtq_f32(a.v, b.v), a, b); }
/// p · 2ⁿ for n ≤ 0; 0 where 2ⁿ would be subnormal.
inline F scale_by_power_of_two(F p, F n) {
  const int32x4_t power = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n.v), vdupq_n_s32(127)), 23);
  return select(vcltq_f32(n.v, vdupq_n_f32(-126.0f)), broadcast(0), mul(p, {vreinterpretq_f32_s32(power)}));
}
/// x in the lanes where place < limit, −∞ in the others.
inline F keep_below(F limit, F place, F x) {
  return select(vcltq_f32(place.v, limit.v), x, broadcast(-__builtin_inff()));
}
inline F broadcast_half(const unsigned char* p) {
  std::uint16_t half;
  __builtin_memcpy(&half, p, sizeof half);
  return {vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(half)))};
}
inline F from_signed_bytes(const unsigned char* p) {
  return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(load_four(p))))))};
}

#include "backend/cpu/units/attention.inl.h"

}  // namespace

constexpr AttentionUnit kNeonAttention = attention_unit();

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
