// Products of pairs of bf16, of processors that have BF16 beside what the unit neon needs.
#include <arm_neon.h>

#include "backend/cpu/units/neon_features.h"
#include "backend/cpu/units/unit.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/neon_floats.inl.h"

constexpr int kPanelVectors = 4, kPanelRows = 6;  // as those of fp32

inline F multiply_add(F a, F b, F c) {
  return {vbfdotq_f32(c.v, vreinterpretq_bf16_f32(a.v), vreinterpretq_bf16_f32(b.v))};
}

#include "backend/cpu/units/panel_product.inl.h"

}  // namespace

const Bf16Unit kNeonBf16 = {has_bf16_products, multiply_panel, nullptr, nullptr};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
