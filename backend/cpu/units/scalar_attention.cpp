#include "backend/cpu/units/attention.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

constexpr int kLanes = 4;  // of the vector that every x86-64 and aarch64 processor has
constexpr int kAcross = 4;
constexpr int kFewRows = 2, kFewColumns = 2;

using Floats = float __attribute__((vector_size(16)));
using Ints = std::int32_t __attribute__((vector_size(16)));
struct F {
  Floats v;
};

inline F load_f32(const float* p) {
  F a;
  __builtin_memcpy(&a, p, sizeof a);
  return a;
}
inline void store_f32(float* p, F a) { __builtin_memcpy(p, &a, sizeof a); }
inline F broadcast(float a) { return {Floats{a, a, a, a}}; }
inline F mul(F a, F b) { return {a.v * b.v}; }
inline F add(F a, F b) { return {a.v + b.v}; }
// Two roundings: without the instruction, a fused multiply-add is a call into the mathematics library.
inline F fma(F a, F b, F c) { return {a.v * b.v + c.v}; }
inline float sum(F a) { return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]); }

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

/// An f16 moved to a float's place is 2¹¹² too small: one exact product also makes subnormals normal.
inline float half_to_float(std::uint16_t h) {
  const float value = __builtin_bit_cast(float, static_cast<std::uint32_t>(h & 0x7fffu) << 13) * 0x1p112f;
  const auto bits = __builtin_bit_cast(std::uint32_t, value);
  const std::uint32_t sign = (h & 0x8000u) << 16;
  return __builtin_bit_cast(float, sign | (bits >= 0x47800000u ? bits | 0x7f800000u : bits));  // Inf or NaN
}
template <class Element>
inline F each(Element element) {
  return {Floats{element(0), element(1), element(2), element(3)}};
}
inline F load_f16(const std::uint16_t* p) {
  return each([p](int i) { return half_to_float(p[i]); });
}
inline F load_bf16(const std::uint16_t* p) {
  return each([p](int i) { return __builtin_bit_cast(float, static_cast<std::uint32_t>(p[i]) << 16); });
}
inline F broadcast_half(const unsigned char* p) {
  std::uint16_t half;
  __builtin_memcpy(&half, p, 2);
  return broadcast(half_to_float(half));
}
inline F from_signed_bytes(const unsigned char* p) {
  return each([p](int i) { return static_cast<float>(static_cast<std::int8_t>(p[i])); });
}

#include "backend/cpu/units/attention.inl.h"

}  // namespace

extern const AttentionUnit kScalarAttention;
constexpr AttentionUnit kScalarAttention = attention_unit();

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
