// Products of pairs of bf16, of processors that have AVX-512 BF16 beside what the unit avx512 needs.
#ifndef NIBBLE_BF16  // the tests define it to compile this file again through SIMDe
#define NIBBLE_BF16 kAvx512Bf16
#define NIBBLE_BF16_PANEL kAvx512Bf16Panel
#define NIBBLE_BF16_FEW_FLOATS kAvx512Bf16FewFloats
#define NIBBLE_HAS_BF16 (__builtin_cpu_supports("avx512bf16") != 0)
#include <immintrin.h>
#endif

#include "backend/cpu/units/attention.h"
#include "backend/cpu/units/few_rows.h"
#include "backend/cpu/units/probe.h"
#include "backend/cpu/units/unit.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/avx512_floats.inl.h"

inline F multiply_add(F a, F b, F c) {
  __m512bh x, y;
  __builtin_memcpy(&x, &a.v, sizeof x);
  __builtin_memcpy(&y, &b.v, sizeof y);
  return {_mm512_dpbf16_ps(c.v, x, y)};
}

#include "backend/cpu/units/panel_product.inl.h"

bool runs_here() { return NIBBLE_HAS_BF16; }

}  // namespace

extern const PanelKernel NIBBLE_BF16_PANEL;
extern const FewRowsKernels NIBBLE_BF16_FEW_FLOATS;
extern const Bf16Unit NIBBLE_BF16;
const Bf16Unit NIBBLE_BF16 = {runs_here, multiply_panel, &NIBBLE_BF16_PANEL, &kAvx512Bf16Probes,
                              &NIBBLE_BF16_FEW_FLOATS};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
