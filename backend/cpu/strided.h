#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "backend/common/executor.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// Elements of work below which another thread costs more than it brings.
inline constexpr std::int64_t kParallelGrain = 16384;

/// One innermost run of N operands: `count` elements, operand k at data[k] with byte stride stride[k].
template <std::size_t N>
struct Run {
  std::array<std::byte*, N> data;
  std::array<std::int64_t, N> stride;
  std::int64_t count;
};

/// A walk over N tensors of one shape with as few axes as their layouts allow: axes of size 1 are dropped, neighbours
/// that every operand steps through evenly are merged. Contiguous operands become a single run.
template <std::size_t N>
class Loop {
 public:
  Loop(const Shape& shape, const std::array<const Tensor*, N>& operands) {
    for (std::size_t k = 0; k < N; ++k) data_[k] = mutable_bytes(*operands[k]);
    for (int axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis] != 1) append(shape[axis], byte_strides(operands, axis));
      total_ *= shape[axis];
    }
    if (rank_ == 0) append(1, {});
  }

  std::int64_t total() const { return total_; }

  /// inner(Run) over all elements, split over threads where there are many.
  template <class Inner>
  void run(Inner&& inner) const {
    if (total_ == 0) return;
    if (rank_ == 1 && total_ < 2 * kParallelGrain) return inner(Run<N>{data_, axes_[0].stride, total_});
    parallel_ranges(total_, kParallelGrain, 64, [&](std::int64_t begin, std::int64_t end) { run(begin, end, inner); });
  }

 private:
  struct Axis {
    std::int64_t size;
    std::array<std::int64_t, N> stride;  // bytes
  };

  static std::array<std::int64_t, N> byte_strides(const std::array<const Tensor*, N>& operands, int axis) {
    std::array<std::int64_t, N> out;
    for (std::size_t k = 0; k < N; ++k) {
      const TensorImpl& impl = operands[k]->impl();
      out[k] = impl.strides[axis] * static_cast<std::int64_t>(itemsize(impl.dtype));
    }
    return out;
  }

  void append(std::int64_t size, const std::array<std::int64_t, N>& stride) {
    if (rank_ > 0) {
      Axis& last = axes_[static_cast<std::size_t>(rank_ - 1)];
      bool even = true;
      for (std::size_t k = 0; k < N; ++k) even = even && last.stride[k] == stride[k] * size;
      if (even) {
        last = {last.size * size, stride};
        return;
      }
    }
    axes_[static_cast<std::size_t>(rank_++)] = {size, stride};
  }

  /// Elements [begin, end) in row-major order.
  template <class Inner>
  void run(std::int64_t begin, std::int64_t end, Inner& inner) const {
    std::array<std::int64_t, kMaxRank> index{};
    std::array<std::byte*, N> data = data_;
    std::int64_t rest = begin;
    for (int a = rank_ - 1; a >= 0; --a) {
      const Axis& axis = axes_[static_cast<std::size_t>(a)];
      index[static_cast<std::size_t>(a)] = rest % axis.size;
      rest /= axis.size;
      for (std::size_t k = 0; k < N; ++k) data[k] += index[static_cast<std::size_t>(a)] * axis.stride[k];
    }
    const int inmost = rank_ - 1;
    const Axis& run_axis = axes_[static_cast<std::size_t>(inmost)];
    for (std::int64_t at = begin; at < end;) {
      const std::int64_t start = index[static_cast<std::size_t>(inmost)];
      const std::int64_t count = std::min(run_axis.size - start, end - at);
      inner(Run<N>{data, run_axis.stride, count});
      at += count;
      // Back to the start of the run's axis, then one step of the next axis out that has one left.
      for (std::size_t k = 0; k < N; ++k) data[k] -= start * run_axis.stride[k];
      index[static_cast<std::size_t>(inmost)] = 0;
      for (int a = inmost - 1; a >= 0; --a) {
        const Axis& axis = axes_[static_cast<std::size_t>(a)];
        for (std::size_t k = 0; k < N; ++k) data[k] += axis.stride[k];
        if (++index[static_cast<std::size_t>(a)] < axis.size) break;
        for (std::size_t k = 0; k < N; ++k) data[k] -= axis.size * axis.stride[k];
        index[static_cast<std::size_t>(a)] = 0;
      }
    }
  }

  std::array<std::byte*, N> data_;
  std::array<Axis, kMaxRank> axes_;
  int rank_ = 0;
  std::int64_t total_ = 1;
};

/// The rows of a tensor along its last axis: row r in row-major order of the other axes, `length` elements apart by
/// `stride` (in elements).
class Rows {
 public:
  explicit Rows(const Tensor& t)
      : data_(mutable_bytes(t)),
        shape_(t.shape()),
        strides_(t.impl().strides),
        item_(static_cast<std::int64_t>(itemsize(t.dtype()))) {
    length = shape_.back();
    stride = strides_[shape_.rank() - 1];
    count = 1;
    for (int a = 0; a + 1 < shape_.rank(); ++a) count *= shape_[a];
  }

  template <class T>
  T* row(std::int64_t r) const {
    std::int64_t offset = 0;
    for (int a = shape_.rank() - 2; a >= 0; --a) {
      offset += r % shape_[a] * strides_[a];
      r /= shape_[a];
    }
    return reinterpret_cast<T*>(data_ + offset * item_);
  }

  std::int64_t length;
  std::int64_t stride;
  std::int64_t count;

 private:
  std::byte* data_;
  Shape shape_;
  Strides strides_;
  std::int64_t item_;
};

/// body(row) for each of `rows` rows of about `cost` elements' work, split over threads where there is much.
template <class Body>
void parallel_rows(std::int64_t rows, std::int64_t cost, Body&& body) {
  const std::int64_t grain = std::max<std::int64_t>(1, kParallelGrain / std::max<std::int64_t>(cost, 1));
  parallel_ranges(rows, grain, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) body(r);
  });
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
