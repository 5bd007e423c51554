#include <fmt/format.h>

#include <functional>
#include <numeric>

#include "backend/common/indices.h"
#include "dispatch/fallback.h"
#include "dispatch/input_order.h"
#include "dispatch/layout.h"
#include "dispatch/product.h"
#include "dispatch/route.h"
#include "nibble/error.h"
#include "nibble/ops.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace {

using detail::leading;

std::string operands(const Tensor& x, const Tensor& w, const Tensor& indices) {
  return fmt::format("[gather_matmul] x {} · w {} · indices {}", describe(x), describe(w), describe(indices));
}

void validate(const Tensor& x, const Tensor& w, const Tensor& indices) {
  detail::require_product_dtype("gather_matmul", "x", x);
  detail::require_product_dtype("gather_matmul", "w", w);
  if (is_floating(indices.dtype()) || indices.dtype() == DType::boolean) {
    throw Error(ErrorCode::dtype_mismatch, operands(x, w, indices) + ": indices are integers");
  }
  if (x.ndim() < 2 || w.ndim() != 3) {
    throw Error(ErrorCode::shape_mismatch, operands(x, w, indices) + ": x is (…, M, K) and w (experts, K, N)");
  }
  if (x.size(-1) != w.size(1)) {
    throw Error(ErrorCode::shape_mismatch,
                fmt::format("{}: contracted sizes {} and {} differ", operands(x, w, indices), x.size(-1), w.size(1)));
  }
}

/// Where the rows of each expert lie, one expert after another: a counting sort, so that every expert's weights are
/// read once.
class RowsByExpert {
 public:
  /// x (*batch, M, K) with any strides, entry i of the batch for experts[i]; y contiguous, rows of n.
  RowsByExpert(const Tensor& x, const Shape& batch, std::span<const std::int64_t> experts, std::int64_t count,
               std::int64_t n)
      : x_rows_(experts.size() * static_cast<std::size_t>(x.size(-2))),
        y_rows_(x_rows_.size()),
        x_numbers_(x_rows_.size()) {
    const std::int64_t m = x.size(-2), row_stride = x.impl().strides[batch.rank()], alike = entries_alike(x, batch);
    detail::CachedVector<std::int64_t> next(static_cast<std::size_t>(count) + 1, 0);
    for (const std::int64_t e : experts) next[static_cast<std::size_t>(e) + 1] += m;
    std::partial_sum(next.begin(), next.end(), next.begin());
    for (std::size_t e = 0; e + 1 < next.size(); ++e) {
      const auto first = static_cast<std::size_t>(next[e]), size = static_cast<std::size_t>(next[e + 1]) - first;
      if (size == 0) continue;
      groups_.push_back(
          {static_cast<std::int64_t>(e), {&x_rows_[first], size}, {&y_rows_[first], size}, {&x_numbers_[first], size}});
    }
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < experts.size(); ++i) {
      const auto entry = static_cast<std::int64_t>(i);
      if (entry % alike == 0) {
        begin = entry_offset(x, batch, entry);
        for (std::int64_t row = 0; row < m; ++row) distinct_.push_back(begin + row * row_stride);
      }
      std::int64_t& place = next[static_cast<std::size_t>(experts[i])];
      for (std::int64_t row = 0; row < m; ++row, ++place) {
        x_rows_[static_cast<std::size_t>(place)] = begin + row * row_stride;
        y_rows_[static_cast<std::size_t>(place)] = (entry * m + row) * n;
        x_numbers_[static_cast<std::size_t>(place)] = entry / alike * m + row;
      }
    }
  }
  RowsByExpert(const RowsByExpert&) = delete;
  RowsByExpert& operator=(const RowsByExpert&) = delete;

  std::span<const detail::RowGroup> groups() const { return groups_; }
  /// Where the rows of x begin: of entries that are the same, those of the first.
  std::span<const std::int64_t> distinct() const { return distinct_; }

 private:
  static std::int64_t entry_offset(const Tensor& x, const Shape& batch, std::int64_t index) {
    std::int64_t offset = 0;
    for (int axis = batch.rank() - 1; axis >= 0; --axis) {
      offset += index % batch[axis] * x.impl().strides[axis];
      index /= batch[axis];
    }
    return offset;
  }

  /// Neighbouring entries of the batch that are one in x: the experts that a token goes to.
  static std::int64_t entries_alike(const Tensor& x, const Shape& batch) {
    std::int64_t alike = 1;
    for (int axis = batch.rank() - 1; axis >= 0; --axis) {
      if (batch[axis] > 1 && x.impl().strides[axis] != 0) break;
      alike *= batch[axis];
    }
    return alike;
  }

  detail::CachedVector<std::int64_t> x_rows_, y_rows_, x_numbers_, distinct_;
  detail::CachedVector<detail::RowGroup> groups_;
};

}  // namespace

Tensor gather_matmul(const Tensor& a, const Tensor& b, const Tensor& indices) {
  validate(a, b, indices);
  Tensor x = a, w = b;
  detail::Backend& backend = detail::route("gather_matmul", x, w);
  Shape batch;
  if (!detail::broadcast_shapes(leading(x.shape(), 2), indices.shape(), &batch)) {
    throw Error(ErrorCode::shape_mismatch,
                fmt::format("{}: batch shapes {} and {} do not broadcast", operands(x, w, indices),
                            to_string(leading(x.shape(), 2)), to_string(indices.shape())));
  }
  if (detail::has_input_order(w) && w.packing()->axis > 0) {
    const Tensor stored = detail::as_stored(w), entries = detail::dense_operand("gather_matmul", x);
    if (w.packing()->axis == 1) return gather_matmul(detail::in_stored_order(entries, w), stored, indices);
    return detail::in_axis_order(gather_matmul(entries, stored, indices), w);
  }
  const Tensor dense = detail::dense_operand("gather_matmul", x, DType::f32);
  Shape full = batch;
  full.push_back(x.size(-2));
  full.push_back(x.size(-1));
  const Tensor rows = detail::broadcast_view(dense, full);
  full[full.rank() - 1] = w.size(2);

  Tensor y = backend.allocate(full, promote(x.dtype(), w.dtype()));
  if (y.numel() == 0) return y;
  const auto text = [&] { return operands(x, w, indices); };
  // By reference: a std::function keeps what is larger in memory of its own.
  const auto experts = detail::resolve_indices(broadcast_to(indices, batch), w.size(0), std::cref(text));
  const RowsByExpert sorted(rows, batch, experts, w.size(0), w.size(2));
  detail::multiply_groups("gather_matmul", rows, w, y, sorted.groups(), sorted.distinct(), options());
  return y;
}

}  // namespace v0
}  // namespace nibble
