#include "backend/cpu/units/float_products.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

constexpr int kLanes = 4;

/// The vectors that every x86-64 and aarch64 processor has.
using Floats = float __attribute__((vector_size(16)));
using Words = std::uint32_t __attribute__((vector_size(16)));
struct F {
  Floats v;
};

inline F load_f32(const void* p) {
  F r;
  __builtin_memcpy(&r, p, sizeof r);
  return r;
}
inline void store_f32(float* p, F a) { __builtin_memcpy(p, &a, sizeof a); }
inline F broadcast(float a) { return {a - Floats{}}; }
inline F mul(F a, F b) { return {a.v * b.v}; }
inline F add(F a, F b) { return {a.v + b.v}; }
// Two roundings: without the instruction, a fused multiply-add is a call into the mathematics library.
inline F fma(F a, F b, F c) { return {a.v * b.v + c.v}; }

inline float sum(F a) { return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]); }

#include "backend/cpu/units/scalar_halves.inl.h"

struct Halves {
  std::uint16_t v[kLanes];
};
inline Halves load_halves(const void* p) {
  Halves h;
  __builtin_memcpy(&h, p, sizeof h);
  return h;
}
inline F load_f16(const void* p) {
  const Halves h = load_halves(p);
  return {Floats{half_to_float(h.v[0]), half_to_float(h.v[1]), half_to_float(h.v[2]), half_to_float(h.v[3])}};
}
inline void store_f16(std::uint16_t* p, F a) {
  for (int i = 0; i < kLanes; ++i) p[i] = float_to_half(a.v[i]);
}
inline F load_bf16(const void* p) {
  const Halves h = load_halves(p);
  const Words words = {h.v[0], h.v[1], h.v[2], h.v[3]};
  return {__builtin_bit_cast(Floats, words << 16)};
}
inline void store_bf16(std::uint16_t* p, F a) {
  const Words u = __builtin_bit_cast(Words, a.v);
  for (int i = 0; i < kLanes; ++i) {
    const bool nan = a.v[i] != a.v[i];
    p[i] = static_cast<std::uint16_t>(nan ? (u[i] >> 16) | 0x40u : (u[i] + 0x7fffu + ((u[i] >> 16) & 1u)) >> 16);
  }
}

#include "backend/cpu/units/elements.inl.h"

constexpr int kPanelVectors = 2, kPanelRows = 4;  // 8 sums, two weights and an activation in 16 registers
constexpr int kFewRows = 2;

inline void transpose(F (&r)[kLanes]) {
  for (int i = 0; i < kLanes; ++i) {
    for (int j = 0; j < i; ++j) {
      const float above = r[j].v[i];
      r[j].v[i] = r[i].v[j];
      r[i].v[j] = above;
    }
  }
}
template <int i>
inline F byte(F a) {
  const Words low = __builtin_bit_cast(Words, a.v) >> 8 * i & 255;
  return {__builtin_convertvector(low, Floats)};
}

#include "backend/cpu/units/float_products.inl.h"

}  // namespace

const FloatProducts kScalarFloats = float_products();

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
