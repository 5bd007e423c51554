#include <arm_neon.h>

#include "backend/cpu/units/probe.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

using Bytes = int8x16_t;
inline Bytes load_bytes(const unsigned char* p) { return vreinterpretq_s8_u8(vld1q_u8(p)); }
inline Bytes add_bytes(Bytes a, Bytes b) { return vaddq_s8(a, b); }
template <class V>
inline void hide(V& a) {
  asm volatile("" : "+w"(a));
}

#include "backend/cpu/units/probe.inl.h"

struct Fp32 {
  using Sum = float32x4_t;
  static constexpr int kProducts = 4;
  static Sum add_product(Sum sum, Bytes a, Bytes b) {
    return vfmaq_f32(sum, vreinterpretq_f32_s8(a), vreinterpretq_f32_s8(b));
  }
};
struct Int16 {
  using Sum = int32x4_t;
  static constexpr int kProducts = 4;
  static Sum add_product(Sum sum, Bytes a, Bytes b) {
    return vmlal_s16(sum, vget_low_s16(vreinterpretq_s16_s8(a)), vget_low_s16(vreinterpretq_s16_s8(b)));
  }
};
struct Int8 {
  using Sum = int32x4_t;
  static constexpr int kProducts = 16;
  static Sum add_product(Sum sum, Bytes a, Bytes b) { return vdotq_s32(sum, a, b); }
};

constexpr ArithmeticLoop kLoops[] = {
    accumulating<Fp32, 16>(ProbedArithmetic::fp32, "fmla"),
    accumulating<Int16, 16>(ProbedArithmetic::int16, "smlal"),
    accumulating<Int8, 16>(ProbedArithmetic::int8, "sdot"),
};

}  // namespace

const Probes kNeonProbes = {kReaders, kReaderCount, kLoops, sizeof(kLoops) / sizeof(ArithmeticLoop)};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
