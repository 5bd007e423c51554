#include <fmt/format.h>

#include <numeric>

#include "dispatch/product.h"
#include "dispatch/route.h"
#include "nibble/error.h"
#include "nibble/ops.h"

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
    throw Error(ErrorCode::shape_mismatch, fmt::format("{}: contracted sizes {} and {} differ", operands(x, w, indices),
                                                       x.size(-1), w.size(1)));
  }
}

/// Batch entries in the order of their experts: entries[first[e] .. first[e + 1]) belong to expert e. A counting sort, so that every expert's
/// weights are read once.
struct ByExpert {
  std::vector<std::int64_t> entries;
  std::vector<std::int64_t> first;
};

ByExpert sort_by_expert(std::span<const std::int64_t> experts, std::int64_t count) {
  ByExpert sorted{std::vector<std::int64_t>(experts.size()), std::vector<std::int64_t>(static_cast<std::size_t>(count) + 1)};
  for (const std::int64_t e : experts) ++sorted.first[static_cast<std::size_t>(e) + 1];
  std::partial_sum(sorted.first.begin(), sorted.first.end(), sorted.first.begin());
  std::vector<std::int64_t> next(sorted.first.begin(), sorted.first.end() - 1);
  for (std::size_t i = 0; i < experts.size(); ++i) {
    const auto place = next[static_cast<std::size_t>(experts[i])]++;
    sorted.entries[static_cast<std::size_t>(place)] = static_cast<std::int64_t>(i);
  }
  return sorted;
}

std::vector<std::int64_t> checked_experts(const Tensor& x, const Tensor& w, const Tensor& indices, const Shape& batch) {
  std::vector<std::int64_t> experts = cast(broadcast_to(indices, batch), DType::i64).to_vector<std::int64_t>();
  const std::int64_t count = w.size(0);
  for (std::int64_t& e : experts) {
    if (e < -count || e >= count) {
      throw Error(ErrorCode::out_of_range, fmt::format("{}: index {} of {} experts", operands(x, w, indices), e, count));
    }
    if (e < 0) e += count;
  }
  return experts;
}

Tensor index_tensor(std::span<const std::int64_t> values) {
  return from_data(values, {static_cast<std::int64_t>(values.size())});
}

}  // namespace

Tensor gather_matmul(const Tensor& x, const Tensor& w, const Tensor& indices) {
  validate(x, w, indices);
  Shape batch;
  if (!detail::broadcast_shapes(leading(x.shape(), 2), indices.shape(), &batch)) {
    throw Error(ErrorCode::shape_mismatch, fmt::format("{}: batch shapes {} and {} do not broadcast", operands(x, w, indices),
                                                       to_string(leading(x.shape(), 2)), to_string(indices.shape())));
  }
  const std::int64_t count = batch.numel(), m = x.size(-2), k = x.size(-1), n = w.size(2);
  const ByExpert sorted = sort_by_expert(checked_experts(x, w, indices, batch), w.size(0));
  std::vector<std::int64_t> place(sorted.entries.size());
  for (std::size_t i = 0; i < place.size(); ++i) place[static_cast<std::size_t>(sorted.entries[i])] = static_cast<std::int64_t>(i);

  Shape full = batch;
  full.push_back(m);
  full.push_back(k);
  const Tensor entries = reshape(broadcast_to(x, full), {count, m * k});
  const Tensor by_expert = reshape(take(entries, index_tensor(sorted.entries)), {count * m, k});

  detail::Backend& backend = detail::route("gather_matmul", x, w);
  const Tensor y = backend.allocate({count * m, n}, promote(x.dtype(), w.dtype()));
  for (std::int64_t e = 0; e < w.size(0); ++e) {
    const std::int64_t begin = sorted.first[static_cast<std::size_t>(e)] * m;
    const std::int64_t end = sorted.first[static_cast<std::size_t>(e) + 1] * m;
    if (begin == end) continue;
    detail::multiply_into("gather_matmul", slice(by_expert, 0, begin, end), select(w, 0, e), slice(y, 0, begin, end),
                          options());
  }
  full[full.rank() - 1] = n;
  return reshape(take(reshape(y, {count, m * n}), index_tensor(place)), full);
}

}  // namespace v0
}  // namespace nibble
