#include <arm_neon.h>

#include "backend/cpu/units/float_products.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/neon_floats.inl.h"

constexpr int kPanelVectors = 4, kPanelRows = 6;  // 24 sums, four weights and an activation in 32 registers
constexpr int kFewRows = 4;

#include "backend/cpu/units/elements.inl.h"

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
