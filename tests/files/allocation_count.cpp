#include "allocation_count.h"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::int64_t> live{0}, peak{0};

void* counted(void* p) {
  if (!p) throw std::bad_alloc();
  const std::int64_t now = live += static_cast<std::int64_t>(::malloc_usable_size(p));
  std::int64_t seen = peak;
  while (now > seen && !peak.compare_exchange_weak(seen, now)) {
  }
  return p;
}

void release(void* p) {
  if (p) live -= static_cast<std::int64_t>(::malloc_usable_size(p));
  std::free(p);
}

}  // namespace

void* operator new(std::size_t size) { return counted(std::malloc(size ? size : 1)); }
// A sanitizer's own would not fit our delete.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  void* p = std::malloc(size ? size : 1);
  return p ? counted(p) : nullptr;
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto a = static_cast<std::size_t>(alignment);
  return counted(std::aligned_alloc(a, (size + a - 1) / a * a));
}
void operator delete(void* p) noexcept { release(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { release(p); }
void operator delete(void* p, std::size_t) noexcept { release(p); }
void operator delete(void* p, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { release(p); }

namespace nibble_test {

PeakOfNew::PeakOfNew() : start_(live) { peak = start_; }
std::uint64_t PeakOfNew::bytes() const { return static_cast<std::uint64_t>(std::max<std::int64_t>(0, peak - start_)); }

}  // namespace nibble_test
