#pragma once

#include <span>

#include "quant_tensor/formats/format.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// A row for each type of streams/all.inl.h.
std::span<const Format> stream_formats();

}  // namespace detail
}  // namespace v0
}  // namespace nibble
