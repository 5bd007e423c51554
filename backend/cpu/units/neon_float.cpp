#include <arm_neon.h>

#include "backend/cpu/units/float_products.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/neon_floats.inl.h"
#include "backend/cpu/units/neon_integers.inl.h"

constexpr int kPanelVectors = 4, kPanelRows = 6;  // 24 sums, four weights and an activation in 32 registers
constexpr int kFewRows = 4;

#include "backend/cpu/units/elements.inl.h"

inline void transpose(F (&r)[kLanes]) {
  uint32x4_t words[kLanes];
  for (int i = 0; i < kLanes; ++i) words[i] = vreinterpretq_u32_f32(r[i].v);
  transpose4(words);
  for (int i = 0; i < kLanes; ++i) r[i].v = vreinterpretq_f32_u32(words[i]);
}
template <int i>
inline F byte(F a) {
  const uint32x4_t high = vshlq_n_u32(vreinterpretq_u32_f32(a.v), 24 - 8 * i);
  return {vcvtq_f32_u32(vshrq_n_u32(high, 24))};
}

#include "backend/cpu/units/float_products.inl.h"

}  // namespace

const FloatProducts kNeonFloats = float_products();

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
