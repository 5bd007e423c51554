#include <immintrin.h>

#include "backend/cpu/units/probe.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

using Bytes = __m256i;
inline Bytes load_bytes(const unsigned char* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
inline Bytes add_bytes(Bytes a, Bytes b) { return _mm256_add_epi8(a, b); }
template <class V>
inline void hide(V& a) {
  asm volatile("" : "+x"(a));
}

#include "backend/cpu/units/probe.inl.h"

struct Fp32 {
  using Sum = __m256;
  static constexpr int kProducts = 8;
  static Sum add_product(Sum sum, Bytes a, Bytes b) {
    return _mm256_fmadd_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), sum);
  }
};
/// Sums in the type of their elements, which gcc 12 keeps in registers where it spills a __m256i at every step.
using Ints = int __attribute__((vector_size(32)));
struct Int16 {
  using Sum = Ints;
  static constexpr int kProducts = 16;
  static Sum add_product(Sum sum, Bytes a, Bytes b) { return sum + reinterpret_cast<Ints>(_mm256_madd_epi16(a, b)); }
};
struct Int8 {
  static constexpr int kProducts = 32;
  static Bytes product(Bytes a, Bytes b) { return _mm256_maddubs_epi16(a, b); }
  static Bytes add_narrow(Bytes a, Bytes b) { return _mm256_add_epi16(a, b); }
  static Bytes add_wide(Bytes sum, Bytes narrow) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(narrow, _mm256_set1_epi16(1)));
  }
};

constexpr ArithmeticLoop kLoops[] = {
    accumulating<Fp32, 12>(ProbedArithmetic::fp32, "vfmadd231ps"),
    accumulating<Int16, 12>(ProbedArithmetic::int16, "vpmaddwd, vpaddd"),
    widening<Int8, 1, 4>(ProbedArithmetic::int8, "vpmaddubsw, widened every step"),
    widening<Int8, 4, 4>(ProbedArithmetic::int8, "vpmaddubsw, widened every 4th step"),
    widening<Int8, 8, 4>(ProbedArithmetic::int8, "vpmaddubsw, widened every 8th step"),
};

}  // namespace

const Probes kAvx2Probes = {kReaders, kReaderCount, kLoops, sizeof(kLoops) / sizeof(ArithmeticLoop)};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
