#include "backend/cpu/units/attention.h"
#include "backend/cpu/units/halves.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/scalar_floats.inl.h"

constexpr int kAcross = 4;
constexpr int kFewRows = 2, kFewColumns = 2;

using Ints = std::int32_t __attribute__((vector_size(16)));

inline F select(Ints condition, F a, F b) { return {condition ? a.v : b.v}; }
/// Of a NaN and a number the second.
inline F larger(F a, F b) { return select(a.v > b.v, a, b); }
/// For |a| < 2²²: adding 1.5 · 2²³ leaves no place for a fraction.
inline F round(F a) { return {(a.v + 0x1.8p23f) - 0x1.8p23f}; }
/// p · 2ⁿ for n ≤ 0; 0 where 2ⁿ would be subnormal.
inline F scale_by_power_of_two(F p, F n) {
  const Ints power = (__builtin_convertvector(n.v == n.v ? n.v : Floats{}, Ints) + 127) << 23;
  return select(n.v < -126.0f, broadcast(0), mul(p, F{reinterpret_cast<Floats>(power)}));
}
/// x in the lanes where place < limit, −∞ in the others.
inline F keep_below(F limit, F place, F x) { return select(place.v < limit.v, x, broadcast(-__builtin_inff())); }
/// The sum of each vector's lanes.
inline void sums_of_four(const F (&x)[4], float* out) {
  for (int i = 0; i < 4; ++i) out[i] = sum(x[i]);
}

inline F broadcast_half(const unsigned char* p) {
  std::uint16_t half;
  __builtin_memcpy(&half, p, 2);
  return broadcast(widen_half(half));
}
inline F from_signed_bytes(const unsigned char* p) {
  F a;
  for (int i = 0; i < kLanes; ++i) a.v[i] = static_cast<float>(static_cast<std::int8_t>(p[i]));
  return a;
}

#include "backend/cpu/units/attention.inl.h"

}  // namespace

extern const AttentionUnit kScalarAttention;
constexpr AttentionUnit kScalarAttention = attention_unit();

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
