#include <immintrin.h>

#include "backend/cpu/math.h"
#include "backend/cpu/units/attention.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

using Vec = __m256;
constexpr std::int64_t kVec = 8;
constexpr int kStripRows = 4;

inline void multiply_add(const Vec& a, const Vec& b, Vec& sum) { sum = _mm256_fmadd_ps(a, b, sum); }

#include "backend/cpu/units/attention.inl.h"

}  // namespace

void attend_avx2(const AttentionTile& tile) { attend(tile); }

}  // namespace detail
}  // namespace v0
}  // namespace nibble
