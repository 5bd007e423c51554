#include <immintrin.h>

#include "backend/cpu/units/probe.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

using Bytes = __m512i;
inline Bytes load_bytes(const unsigned char* p) { return _mm512_loadu_si512(p); }
inline Bytes add_bytes(Bytes a, Bytes b) { return _mm512_add_epi8(a, b); }
template <class V>
inline void hide(V& a) {
  asm volatile("" : "+v"(a));
}

#include "backend/cpu/units/probe.inl.h"

struct Fp32 {
  using Sum = __m512;
  static constexpr int kProducts = 16;
  static Sum add_product(Sum sum, Bytes a, Bytes b) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
  }
};
struct Int8 {
  using Sum = Bytes;
  static constexpr int kProducts = 64;
  static Sum add_product(Sum sum, Bytes a, Bytes b) { return _mm512_dpbusd_epi32(sum, a, b); }
};
struct Int16 {
  using Sum = Bytes;
  static constexpr int kProducts = 32;
  static Sum add_product(Sum sum, Bytes a, Bytes b) { return _mm512_dpwssd_epi32(sum, a, b); }
};

constexpr ArithmeticLoop kLoops[] = {accumulating<Fp32, 12>(ProbedArithmetic::fp32, "vfmadd231ps"),
                                     accumulating<Int16, 12>(ProbedArithmetic::int16, "vpdpwssd"),
                                     accumulating<Int8, 12>(ProbedArithmetic::int8, "vpdpbusd")};

}  // namespace

const Probes kAvx512Probes = {kReaders, kReaderCount, kLoops, sizeof(kLoops) / sizeof(ArithmeticLoop)};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
