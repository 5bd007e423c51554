// Vectors of floats that every x86-64 and aarch64 processor has. Included inside an unnamed namespace of the scalar
// unit, so that what its files share is written once and still has no external linkage.

constexpr int kLanes = 4;  // floats in a vector

using Floats = float __attribute__((vector_size(16)));
using WordVector = std::uint32_t __attribute__((vector_size(16)));
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
inline F from_bytes(const std::uint8_t* p) {
  return {__builtin_convertvector(WordVector{p[0], p[1], p[2], p[3]}, Floats)};
}
inline F mul(F a, F b) { return {a.v * b.v}; }
inline F add(F a, F b) { return {a.v + b.v}; }
// Two roundings: without the instruction, a fused multiply-add is a call into the mathematics library.
inline F fma(F a, F b, F c) { return {a.v * b.v + c.v}; }
inline float sum(F a) { return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]); }

inline float half_to_float(std::uint16_t h) { return widen_half(h); }
inline std::uint16_t float_to_half(float f) { return narrow_to_half(f); }

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
  return {Floats{widen_half(h.v[0]), widen_half(h.v[1]), widen_half(h.v[2]), widen_half(h.v[3])}};
}
inline void store_f16(std::uint16_t* p, F a) {
  for (int i = 0; i < kLanes; ++i) p[i] = narrow_to_half(a.v[i]);
}
inline F load_bf16(const void* p) {
  const Halves h = load_halves(p);
  const WordVector words = {h.v[0], h.v[1], h.v[2], h.v[3]};
  return {__builtin_bit_cast(Floats, words << 16)};
}
inline void store_bf16(std::uint16_t* p, F a) {
  for (int i = 0; i < kLanes; ++i) p[i] = narrow_to_bfloat(a.v[i]);
}
