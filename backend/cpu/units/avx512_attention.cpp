#include <immintrin.h>

#include "backend/cpu/math.h"
#include "backend/cpu/units/attention.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

using Vec = __m512;
constexpr std::int64_t kVec = 16;
constexpr int kStripRows = 8;

inline void multiply_add(const Vec& a, const Vec& b, Vec& sum) { sum = _mm512_fmadd_ps(a, b, sum); }

#include "backend/cpu/units/attention.inl.h"

}  // namespace

void attend_avx512(const AttentionTile& tile) { attend(tile); }

}  // namespace detail
}  // namespace v0
}  // namespace nibble
