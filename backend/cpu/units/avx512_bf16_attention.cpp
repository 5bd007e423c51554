// The panels of fast precision, of processors that have AVX-512 BF16 beside what the unit avx512 needs.
#ifndef NIBBLE_UNIT  // the tests define it to compile this file again through SIMDe
#define NIBBLE_UNIT kAvx512Bf16Panel
#include <immintrin.h>
#endif

#include "backend/cpu/units/attention.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {
#include "backend/cpu/units/avx512_attention.inl.h"

struct Places {
  alignas(64) std::uint16_t v[32];
};
/// 0, 16, 1, 17, …
constexpr Places interleaved() {
  Places p{};
  for (int i = 0; i < 32; ++i) p.v[i] = static_cast<std::uint16_t>(i / 2 + i % 2 * 16);
  return p;
}
constexpr Places kInterleaved = interleaved();

/// Pairs (even, odd) of bf16.
inline __m512i pairs_of(F even, F odd) {
  const __m512bh halves = _mm512_cvtne2ps_pbh(odd.v, even.v);
  __m512i words;
  __builtin_memcpy(&words, &halves, sizeof words);
  return _mm512_permutexvar_epi16(_mm512_load_si512(kInterleaved.v), words);
}

/// Words that are pairs of bf16, for vdpbf16ps.
struct Bf16Words {
  static constexpr int kStep = 2;
  static F multiply_add(F a, F b, F c) {
    __m512bh x, y;
    __builtin_memcpy(&x, &a, sizeof x);
    __builtin_memcpy(&y, &b, sizeof y);
    return {_mm512_dpbf16_ps(c.v, x, y)};
  }
  static void weigh(const PanelTile& t, const F (&base)[2], F (&total)[2]) {
    for (std::int64_t j = 0; j < t.keys; j += 2) {
      for (int v = 0; v < 2; ++v) {
        const float* s = t.weights + j * kPanel + v * kLanes;
        const F even = exp_of_negative(add(load_f32(s), base[v]));
        const F odd = j + 1 < t.keys ? exp_of_negative(add(load_f32(s + kPanel), base[v])) : broadcast(0);
        total[v] = add(total[v], add(even, odd));
        _mm512_storeu_si512(t.weights + j / 2 * kPanel + v * kLanes, pairs_of(even, odd));
      }
    }
  }
};

void pair_neighbours(const float* x, std::int64_t n, float* words) {
  auto* out = reinterpret_cast<std::uint16_t*>(words);
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store_bf16(out + i, load_f32(x + i));
  float rest[kLanes] = {};
  for (std::int64_t j = i; j < n; ++j) rest[j - i] = x[j];
  std::uint16_t last[kLanes];
  store_bf16(last, load_f32(rest));
  for (std::int64_t j = i; j < n + n % 2; ++j) out[j] = last[j - i];
}

void pair_rows(const float* even, const float* odd, std::int64_t n, float* words) {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    _mm512_storeu_si512(words + i, pairs_of(load_f32(even + i), load_f32(odd + i)));
  }
  if (i == n) return;
  const auto some = static_cast<__mmask16>((1u << (n - i)) - 1);
  const F a = {_mm512_maskz_loadu_ps(some, even + i)}, b = {_mm512_maskz_loadu_ps(some, odd + i)};
  _mm512_mask_storeu_epi32(words + i, some, pairs_of(a, b));
}

}  // namespace

extern const PanelKernel NIBBLE_UNIT;
constexpr PanelKernel NIBBLE_UNIT = {2, attend_panel<Bf16Words>, pair_neighbours, pair_rows};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
