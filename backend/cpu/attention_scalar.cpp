#include "backend/cpu/attention_tile.h"
#include "backend/cpu/math.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

constexpr int kStripRows = 2;
#include "backend/cpu/attention_tile.inl"

}  // namespace

void attention_tile_scalar(const AttentionTile& tile) { attend(tile); }

}  // namespace detail
}  // namespace v0
}  // namespace nibble
