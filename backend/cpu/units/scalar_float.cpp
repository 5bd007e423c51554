#include "backend/cpu/units/float_products.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/scalar_floats.inl.h"
// On those:
#include "backend/cpu/units/elements.inl.h"

constexpr int kPanelVectors = 2, kPanelRows = 4;  // 8 sums, two weights and an activation in 16 registers
constexpr int kFewRows = 2;

inline WordVector words_of(F a) { return __builtin_bit_cast(WordVector, a.v); }
inline F floats_of(WordVector a) { return {__builtin_bit_cast(Floats, a)}; }
inline void transpose_words(WordVector (&r)[kLanes]) {
  for (int i = 0; i < kLanes; ++i) {
    for (int j = 0; j < i; ++j) {
      const std::uint32_t above = r[j][i];
      r[j][i] = r[i][j];
      r[i][j] = above;
    }
  }
}
template <int i>
inline F byte(F a) {
  const WordVector low = words_of(a) >> 8 * i & 255;
  return {__builtin_convertvector(low, Floats)};
}

#include "backend/cpu/units/float_products.inl.h"

}  // namespace

const FloatProducts kScalarFloats = float_products();

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
