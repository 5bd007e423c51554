#include <immintrin.h>

#include "backend/cpu/units/probe.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

/// Twelve sums of dot products of bf16 pairs. (Written out: the shared loops bring readers that have no use here.)
constexpr int kChains = 12;
void dot_pairs(std::int64_t rounds) {
  __m512i a = {}, b = {};
  __m512 sums[kChains] = {};
  for (int c = 0; c < kChains; ++c) asm volatile("" : "+v"(sums[c]));  // else one would stand for all
  for (std::int64_t r = 0; r < rounds; ++r) {
    for (int c = 0; c < kChains; ++c) {
      asm volatile("" : "+v"(a), "+v"(b));
      sums[c] = _mm512_dpbf16_ps(sums[c], (__m512bh)a, (__m512bh)b);
    }
  }
  for (int c = 0; c < kChains; ++c) asm volatile("" : "+v"(sums[c]));  // nor is any dropped
}

constexpr ArithmeticLoop kLoops[] = {{ProbedArithmetic::bf16, "vdpbf16ps", 2 * 32 * kChains, dot_pairs}};

}  // namespace

const Probes kAvx512Bf16Probes = {nullptr, 0, kLoops, sizeof(kLoops) / sizeof(ArithmeticLoop)};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
