#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "nibble/export.h"

namespace nibble {
inline namespace v0 {

/// The most axes a tensor may have.
inline constexpr int kMaxRank = 8;

/// A short list of sizes, strides or axes that never allocates. Throws Error(invalid_argument) past kMaxRank.
class NIBBLE_API Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> sizes) : Shape(std::span(sizes.begin(), sizes.size())) {}
  explicit Shape(std::span<const std::int64_t> sizes);
  static Shape filled(int rank, std::int64_t value);

  int rank() const { return rank_; }
  bool empty() const { return rank_ == 0; }
  std::int64_t operator[](int i) const { return sizes_[static_cast<std::size_t>(i)]; }
  std::int64_t& operator[](int i) { return sizes_[static_cast<std::size_t>(i)]; }
  std::int64_t back() const { return (*this)[rank_ - 1]; }

  void push_back(std::int64_t size);
  void insert(int position, std::int64_t size);
  void erase(int position);

  /// The product of the sizes: 1 for rank 0, the largest int64 where it would be more.
  std::int64_t numel() const;

  const std::int64_t* begin() const { return sizes_.data(); }
  const std::int64_t* end() const { return sizes_.data() + rank_; }
  operator std::span<const std::int64_t>() const { return {begin(), static_cast<std::size_t>(rank_)}; }
  friend bool operator==(const Shape& a, const Shape& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

 private:
  std::array<std::int64_t, kMaxRank> sizes_{};
  int rank_ = 0;
};

using Strides = Shape;
using Axes = Shape;

/// "(3, 64)", "(5,)", "()".
NIBBLE_API std::string to_string(const Shape& shape);

}  // namespace v0
}  // namespace nibble
