#include "quant_tensor/tensor/storage.h"

#include "quant_tensor/tensor/cached.h"
#include "quant_tensor/tensor/counters.h"
#include "quant_tensor/tensor/host_memory.h"

namespace nibble {
inline namespace v0 {
namespace detail {

Storage::~Storage() {
  if (release_) release_();
}

std::shared_ptr<Storage> allocate_host(std::size_t bytes) {
  if (auto storage = allocate_from_host(bytes)) return storage;
  void* data = allocate_cached(bytes);
  count_allocated(bytes);
  return make_cached<Storage>(data, bytes, Device::cpu(), true, [data, bytes] {
    count_freed(bytes);
    free_cached(data, bytes);
  });
}

void count_allocated(std::uint64_t bytes) noexcept {
  Counters& c = counters();
  const std::uint64_t live = c.bytes_allocated.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  std::uint64_t peak = c.peak_bytes_allocated.load(std::memory_order_relaxed);
  while (live > peak && !c.peak_bytes_allocated.compare_exchange_weak(peak, live, std::memory_order_relaxed)) {
  }
}
void count_freed(std::uint64_t bytes) noexcept {
  counters().bytes_allocated.fetch_sub(bytes, std::memory_order_relaxed);
}

Counters& counters() noexcept {
  static Counters instance;
  return instance;
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
