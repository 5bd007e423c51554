#include "backend/cpu/math.h"
#include "backend/cpu/units/attention.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

/// The vector that every x86-64 and aarch64 processor has.
using Vec = float __attribute__((vector_size(16)));
constexpr std::int64_t kVec = 4;
constexpr int kStripRows = 4;

inline void multiply_add(const Vec& a, const Vec& b, Vec& sum) { sum += a * b; }

#include "backend/cpu/units/attention.inl.h"

}  // namespace

void attend_scalar(const AttentionTile& tile) { attend(tile); }

}  // namespace detail
}  // namespace v0
}  // namespace nibble
