#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "nibble/dtype.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// Reads a T at `p`, whatever its alignment: blocks in files have none.
template <class T>
T load_unaligned(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
template <class T>
void store_unaligned(std::byte* p, T value) {
  std::memcpy(p, &value, sizeof value);
}

/// The i-th scale of a buffer of f32, f16 or bf16.
inline float load_scale(DType dtype, const std::byte* scales, std::int64_t i) {
  switch (dtype) {
    case DType::f16: return static_cast<float>(load_unaligned<float16>(scales + 2 * i));
    case DType::bf16: return static_cast<float>(load_unaligned<bfloat16>(scales + 2 * i));
    default: return load_unaligned<float>(scales + 4 * i);
  }
}

/// Stores it rounded to the buffer's type, and says whether nothing was lost (a NaN that stays one loses nothing).
inline bool store_scale(DType dtype, std::byte* scales, std::int64_t i, float value) {
  switch (dtype) {
    case DType::f16: store_unaligned(scales + 2 * i, float16(value)); break;
    case DType::bf16: store_unaligned(scales + 2 * i, bfloat16(value)); break;
    default: store_unaligned(scales + 4 * i, value); break;
  }
  return load_scale(dtype, scales, i) == value || std::isnan(value);
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
