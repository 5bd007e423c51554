#pragma once

#include <cstddef>
#include <memory>

#include "quant_tensor/tensor/storage.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// Memory of the allocator in force on this thread; null where there is none. Throws Error(out_of_memory).
std::shared_ptr<Storage> allocate_from_host(std::size_t bytes);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
