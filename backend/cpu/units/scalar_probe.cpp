#include "backend/cpu/units/probe.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

/// The vectors that every x86-64 and aarch64 processor has.
using Bytes = std::int8_t __attribute__((vector_size(16)));
using Floats = float __attribute__((vector_size(16)));
inline Bytes load_bytes(const unsigned char* p) {
  Bytes bytes;
  __builtin_memcpy(&bytes, p, sizeof bytes);
  return bytes;
}
inline Bytes add_bytes(Bytes a, Bytes b) { return a + b; }
template <class V>
inline void hide(V& a) {
#if defined(__x86_64__)
  asm volatile("" : "+x"(a));
#elif defined(__aarch64__)
  asm volatile("" : "+w"(a));
#else
  asm volatile("" : "+m"(a));
#endif
}

#include "backend/cpu/units/probe.inl.h"

struct Fp32 {
  using Sum = Floats;
  static constexpr int kProducts = 4;
  static Sum add_product(Sum sum, Bytes a, Bytes b) { return sum + (Floats)a * (Floats)b; }
};

constexpr ArithmeticLoop kLoops[] = {accumulating<Fp32, 10>(ProbedArithmetic::fp32, "multiply, add")};

}  // namespace

const Probes kScalarProbes = {kReaders, kReaderCount, kLoops, sizeof(kLoops) / sizeof(ArithmeticLoop)};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
