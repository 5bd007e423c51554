#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "quant_tensor/tensor/allocator.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// What every operation makes and drops again (handles' bodies, views, lists of indices) comes from the thread's own
/// free lists: a step of a model that has run once before asks the system for no memory.
template <class T>
struct CachedAllocator {
  using value_type = T;
  CachedAllocator() = default;
  template <class U>
  CachedAllocator(const CachedAllocator<U>&) noexcept {}

  T* allocate(std::size_t count) { return static_cast<T*>(allocate_cached(count * sizeof(T))); }
  void deallocate(T* data, std::size_t count) noexcept { free_cached(data, count * sizeof(T)); }
  template <class U>
  bool operator==(const CachedAllocator<U>&) const noexcept {
    return true;
  }
};

template <class T>
using CachedVector = std::vector<T, CachedAllocator<T>>;

/// std::make_shared from there.
template <class T, class... Arguments>
std::shared_ptr<T> make_cached(Arguments&&... arguments) {
  return std::allocate_shared<T>(CachedAllocator<std::remove_const_t<T>>{}, std::forward<Arguments>(arguments)...);
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
