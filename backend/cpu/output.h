#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

#include "backend/cpu/weights.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

inline bool all_finite(const float* values, std::int64_t count) {
  constexpr std::uint32_t kExponent = 0x7f800000u;
  std::uint32_t odd = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    odd |= (std::bit_cast<std::uint32_t>(values[i]) & kExponent) == kExponent ? 1u : 0u;
  }
  return odd == 0;
}

/// The result of a product, which notes whether every sum that it was given is finite.
struct Output : Matrix {
  using Matrix::Matrix;
  explicit Output(const Matrix& matrix) : Matrix(matrix) {}
  /// `count` sums of row m from column n on.
  void store(const Unit& unit, std::int64_t m, std::int64_t n, std::int64_t count, const float* sums) const {
    if (!unit.store(sums, count, at(m, n), element, column_stride)) finite.store(false, std::memory_order_relaxed);
  }
  mutable std::atomic<bool> finite{true};
};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
