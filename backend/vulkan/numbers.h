#pragma once

#include <cstdint>

#include "nibble/dtype.h"

namespace nibble::inline v0::detail::vulkan {

/// An enumerator as shaders know it: they list the enumerations in the same order.
template <class Enum>
constexpr std::uint32_t number(Enum e) {
  return static_cast<std::uint32_t>(e);
}

/// The unsigned dtype of an element's size: what moves bytes knows no others.
constexpr DType word_of(std::size_t size) {
  return size == 1 ? DType::u8 : size == 2 ? DType::u16 : size == 4 ? DType::u32 : DType::u64;
}

}  // namespace nibble::inline v0::detail::vulkan
