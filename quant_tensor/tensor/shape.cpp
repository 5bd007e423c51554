#include "nibble/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace {

[[noreturn]] void too_many_axes(std::size_t rank) {
  throw Error(ErrorCode::invalid_argument, fmt::format("[shape] {} axes: a tensor has at most {}", rank, kMaxRank));
}

}  // namespace

Shape::Shape(std::span<const std::int64_t> sizes) : rank_(static_cast<int>(sizes.size())) {
  if (sizes.size() > kMaxRank) too_many_axes(sizes.size());
  std::copy(sizes.begin(), sizes.end(), sizes_.begin());
}

Shape Shape::filled(int rank, std::int64_t value) {
  Shape shape;
  for (int i = 0; i < rank; ++i) shape.push_back(value);
  return shape;
}

void Shape::push_back(std::int64_t size) { insert(rank_, size); }

void Shape::insert(int position, std::int64_t size) {
  if (rank_ == kMaxRank) too_many_axes(kMaxRank + 1);
  std::copy_backward(sizes_.begin() + position, sizes_.begin() + rank_, sizes_.begin() + rank_ + 1);
  (*this)[position] = size;
  ++rank_;
}

void Shape::erase(int position) {
  std::copy(sizes_.begin() + position + 1, sizes_.begin() + rank_, sizes_.begin() + position);
  --rank_;
}

std::int64_t Shape::numel() const {
  std::int64_t n = 1;
  bool empty = false, overflow = false;
  for (const std::int64_t size : *this) {
    empty = empty || size == 0;
    overflow = __builtin_mul_overflow(n, size, &n) || overflow;
  }
  if (empty) return 0;
  return overflow ? std::numeric_limits<std::int64_t>::max() : n;
}

std::string to_string(const Shape& shape) {
  if (shape.rank() == 1) return fmt::format("({},)", shape[0]);
  return fmt::format("({})", fmt::join(shape.begin(), shape.end(), ", "));
}

}  // namespace v0
}  // namespace nibble
