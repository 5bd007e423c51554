#pragma once

#include <optional>

#include "backend/cpu/units/attention.h"
#include "backend/cpu/weights.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

/// Keys or values (B, H, T, D): dense with any strides, or packed along D.
class AttentionCache {
 public:
  AttentionCache(const Unit& unit, const Tensor& t);

  /// What a unit's kernels for few queries know the numbers as; nothing where they do not lie side by side in memory or
  /// fill no vectors of `lanes`.
  std::optional<CacheElement> in_vectors(std::int64_t lanes) const;
  /// Whether rows are words as a panel of `step` values a word takes them.
  bool in_words(int step) const;

  /// The rows of head (b, h) from row `begin` on, as they lie.
  CacheRows rows(std::int64_t b, std::int64_t h, std::int64_t begin) const;
  /// Row i of head (b, h) as `pitch` floats, zeros from D on.
  void read(std::int64_t b, std::int64_t h, std::int64_t i, float* out, std::int64_t pitch) const;

 private:
  /// In elements, or of a packed tensor in rows.
  std::int64_t place(std::int64_t b, std::int64_t h, std::int64_t i) const;

  const Unit& unit_;
  const Tensor t_;
  std::int64_t length_;
  std::optional<PackedRows> packed_;
};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
