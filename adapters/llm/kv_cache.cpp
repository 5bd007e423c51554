#include "adapters/llm/kv_cache.h"

#include <fmt/format.h>

#include <algorithm>

#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace llm {

KvCache::KvCache(const Sizes& sizes, std::string_view storage, std::span<const Device> devices)
    : sizes_(sizes), storage_(storage), lengths_(static_cast<std::size_t>(sizes.batch), 0) {
  const Shape shape{sizes.batch, sizes.heads, sizes.capacity, sizes.head_dim};
  Options placed = options();
  for (std::int64_t layer = 0; layer < sizes.layers; ++layer) {
    placed.device = devices[static_cast<std::size_t>(layer)];
    const with there(placed);
    try {
      layers_.push_back({empty(shape, storage), empty(shape, storage)});
    } catch (const Error& e) {
      throw Error(e.code(), fmt::format("[kv_cache] heads of {} stored as {}: {}", sizes.head_dim, storage, e.what()));
    }
  }
}

Tensor KvCache::lengths_tensor() const { return from_data(std::span<const std::int32_t>(lengths_), {batch()}); }

KvCache::View KvCache::append(std::int64_t layer, const Tensor& keys, const Tensor& values, const Tensor& starts) {
  View& held = layers_[static_cast<std::size_t>(layer)];
  held.keys = update_slice(std::move(held.keys), keys, starts, 2);
  held.values = update_slice(std::move(held.values), values, starts, 2);
  return held;
}

void KvCache::advance(std::span<const std::int32_t> counts) {
  for (std::size_t row = 0; row < lengths_.size(); ++row) lengths_[row] += counts[row];
}

void KvCache::advance(std::int32_t count) {
  for (std::int32_t& held : lengths_) held += count;
}

void KvCache::truncate(std::int32_t length) {
  for (std::int32_t& held : lengths_) held = std::min(held, length);
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
