#include "backend/vulkan/walk.h"

#include <algorithm>
#include <limits>

#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

constexpr std::int64_t kMostElements = std::int64_t{1} << 30;

struct Axis {
  std::int64_t size = 1;
  std::array<std::int64_t, Walk::kOperands> stride{};
};

class Merged {
 public:
  Merged(const Shape& shape, std::initializer_list<Tensor> operands) {
    for (const Tensor& t : operands) {
      if (t.defined()) {
        address_[count_] = address_of(t);
        item_[count_] = static_cast<std::int64_t>(itemsize(t.dtype()));
      }
      ++count_;
    }
    for (int a = 0; a < shape.rank(); ++a) {
      if (shape[a] == 1) continue;
      Axis axis{shape[a], {}};
      std::size_t k = 0;
      for (const Tensor& t : operands) axis.stride[k++] = t.defined() ? t.impl().strides[a] : 0;
      append(axis);
    }
  }

  void each(const std::function<void(Walk&)>& visit) const { each(0, address_, visit); }

 private:
  using Addresses = std::array<std::uint64_t, Walk::kOperands>;

  void append(const Axis& axis) {
    if (rank_ > 0) {
      Axis& last = axes_[static_cast<std::size_t>(rank_ - 1)];
      bool even = true;
      for (std::size_t k = 0; k < count_; ++k) even = even && last.stride[k] == axis.stride[k] * axis.size;
      if (even) {
        last = {last.size * axis.size, axis.stride};
        return;
      }
    }
    axes_[static_cast<std::size_t>(rank_++)] = axis;
  }

  /// Whether the axes from `first` on can be one walk.
  bool fits(int first) const {
    if (rank_ - first > Walk::kAxes) return false;
    std::int64_t total = 1;
    for (int a = first; a < rank_; ++a) {
      const Axis& axis = axes_[static_cast<std::size_t>(a)];
      total *= axis.size;
      if (total > kMostElements) return false;
      for (const std::int64_t s : axis.stride) {
        if (s != static_cast<std::int32_t>(s)) return false;
      }
    }
    return true;
  }

  void each(int first, Addresses at, const std::function<void(Walk&)>& visit) const {
    if (fits(first)) {
      Walk walk;
      walk.address = at;
      for (int a = first; a < rank_; ++a) {
        const auto to = static_cast<std::size_t>(Walk::kAxes - rank_ + a);
        const Axis& axis = axes_[static_cast<std::size_t>(a)];
        walk.size[to] = static_cast<std::uint32_t>(axis.size);
        for (std::size_t k = 0; k < count_; ++k) walk.stride[k][to] = static_cast<std::int32_t>(axis.stride[k]);
      }
      visit(walk);
      return;
    }
    // One axis alone that is too long is cut in pieces; else its entries are passed one by one.
    const Axis& axis = axes_[static_cast<std::size_t>(first)];
    const auto step = [&](std::int64_t entries) {
      for (std::size_t k = 0; k < count_; ++k) at[k] += static_cast<std::uint64_t>(entries * axis.stride[k] * item_[k]);
    };
    const std::int64_t piece = first + 1 == rank_ ? std::min(axis.size, kMostElements) : 1;
    const bool cut = piece > 1 && axis.size > piece;
    for (std::int64_t i = 0; i < axis.size; i += piece) {
      if (cut) {
        Merged part = *this;
        part.axes_[static_cast<std::size_t>(first)].size = std::min(piece, axis.size - i);
        part.each(first, at, visit);
      } else {
        each(first + 1, at, visit);
      }
      step(piece);
    }
  }

  Addresses address_{};
  std::array<std::int64_t, Walk::kOperands> item_{};
  std::size_t count_ = 0;
  std::array<Axis, kMaxRank> axes_{};
  int rank_ = 0;
};

}  // namespace

void set_extra(Walk& walk, std::size_t at, std::uint64_t value) {
  walk.extra[at] = static_cast<std::uint32_t>(value);
  walk.extra[at + 1] = static_cast<std::uint32_t>(value >> 32);
}

std::uint64_t address_of(const Tensor& t) { return reinterpret_cast<std::uint64_t>(bytes_of(t)); }

void each_walk_by(const Shape& shape, std::initializer_list<Tensor> operands, const std::function<void(Walk&)>& visit) {
  if (shape.numel() > 0) Merged(shape, operands).each(visit);
}

}  // namespace nibble::inline v0::detail::vulkan
