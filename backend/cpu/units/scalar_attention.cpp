#include "backend/cpu/math.h"
#include "backend/cpu/units/attention.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

/// Eight floats as the compiler's own vector: two registers of SSE or NEON.
using Vec = float __attribute__((vector_size(32)));
constexpr std::int64_t kVec = 8;
constexpr int kStripRows = 2;

inline void multiply_add(const Vec& a, const Vec& b, Vec& sum) { sum += a * b; }

#include "backend/cpu/units/attention.inl.h"

}  // namespace

void attend_scalar(const AttentionTile& tile) { attend(tile); }

}  // namespace detail
}  // namespace v0
}  // namespace nibble
