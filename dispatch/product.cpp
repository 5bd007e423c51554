#include "dispatch/product.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "backend/common/backend.h"
#include "backend/common/executor.h"
#include "dispatch/fallback.h"
#include "dispatch/input_order.h"
#include "dispatch/layout.h"
#include "dispatch/route.h"
#include "nibble/error.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

/// A packed operand decoded for a product: to f32 whatever its logical dtype, since a product never rounds a weight.
Tensor decode_for_product(std::string_view op, const Tensor& t) { return dense_operand(op, t, DType::f32); }

bool packed_along_batch(const Tensor& t) { return t.is_quantized() && t.packing()->axis < t.ndim() - 2; }

/// (…, M, N), not empty, as (B·M, N) where the layout allows that view.
std::optional<Tensor> flat_rows(const Tensor& y) {
  if (y.ndim() == 2) return y;
  const TensorImpl& impl = y.impl();
  const Shape flat{leading(impl.shape, 1).numel(), impl.shape.back()};
  const std::optional<Strides> strides = reshape_strides(impl.shape, impl.strides, flat);
  return strides ? std::optional(make_view(y, flat, *strides, impl.offset)) : std::nullopt;
}

/// The kernel for products of x (rows, K) with w (…, K, N), and how it sees w; null where there is none.
struct Choice {
  const MatmulKernel* kernel = nullptr;
  Orientation orientation;
};
Choice choose(const Tensor& w, std::int64_t rows, const Options& options, bool grouped = false) {
  // Kernels know rows of weights: (outputs, contracted) along the rows, or (contracted, outputs) across them.
  const bool across = w.is_quantized() && w.packing()->axis == w.ndim() - 1;
  Choice best{.orientation = across ? Orientation::across : Orientation::along};
  const MatmulQuery query{w.is_quantized() ? w.packing()->format : nullptr,
                          w.dtype(),
                          best.orientation,
                          rows,
                          options.precision,
                          options.deterministic,
                          grouped};
  best.kernel = best_kernel(backend_for(w.device()).matmul_kernels(), query);
  return best;
}

[[noreturn]] void refuse_product(std::string_view op, const Tensor& x, const Tensor& w) {
  throw Error(ErrorCode::unsupported,
              fmt::format("[{}] x {} · w {}: no kernel takes them", op, describe(x), describe(w)));
}

/// Of two matrices: x (M, K) dense, w (K, N) dense or packed along either axis, y (M, N).
MatmulArgs args_of(const Choice& choice, const Tensor& x, const Tensor& w, const Tensor& y, const Options& options,
                   std::int64_t products = 1, std::span<const std::int64_t> x_rows = {},
                   std::span<const std::int64_t> y_rows = {}) {
  const bool across = choice.orientation == Orientation::across;
  return {.x = x,
          .w = across ? w : swapaxes(w, 0, 1),
          .y = y,
          .orientation = choice.orientation,
          .precision = options.precision,
          .deterministic = options.deterministic,
          .x_rows = x_rows,
          .y_rows = y_rows,
          .kept = &w,
          .products = products};
}
void run(const Choice& choice, const Tensor& x, const Tensor& w, const Tensor& y, const Options& options,
         std::int64_t products = 1) {
  choice.kernel->run(args_of(choice, x, w, y, options, products));
}

void multiply_matrices(std::string_view op, const Tensor& x, const Tensor& w, const Tensor& y, const Options& options) {
  if (const Choice choice = choose(w, x.size(0), options); choice.kernel) return run(choice, x, w, y, options);
  if (w.is_quantized()) return multiply_matrices(op, x, decode_for_product(op, w), y, options);
  refuse_product(op, x, w);
}

/// Entry `index` of the batch axes of a tensor that was broadcast to them.
Tensor batch_entry(const Tensor& t, const Shape& batch, std::int64_t index) {
  const TensorImpl& impl = t.impl();
  std::int64_t offset = impl.offset;
  for (int i = batch.rank() - 1; i >= 0; --i) {
    offset += index % batch[i] * impl.strides[i];
    index /= batch[i];
  }
  const int r = t.ndim();
  if (!t.is_quantized()) {
    return make_view(t, {impl.shape[r - 2], impl.shape[r - 1]}, {impl.strides[r - 2], impl.strides[r - 1]}, offset);
  }
  auto packing = make_cached<Packing>(*impl.packing);
  packing->axis -= r - 2;
  return make_tensor({{impl.shape[r - 2], impl.shape[r - 1]},
                      {impl.strides[r - 2], impl.strides[r - 1]},
                      offset,
                      impl.dtype,
                      nullptr,
                      std::move(packing)});
}

/// Both batches broadcast; the products share the threads.
void multiply_batches(std::string_view op, const Tensor& x, const Tensor& w, const Tensor& y, const Options& options) {
  const Choice choice = choose(w, x.size(-2), options);
  if (!choice.kernel && w.is_quantized()) return multiply_batches(op, x, decode_for_product(op, w), y, options);
  if (!choice.kernel) refuse_product(op, x, w);
  const Shape batch = leading(y.shape(), 2);
  const auto broadcast = [&](const Tensor& t) {
    Shape shape = batch;
    shape.push_back(t.size(-2));
    shape.push_back(t.size(-1));
    return broadcast_to(t, shape);
  };
  const Tensor xs = broadcast(x), ws = broadcast(w);
  parallel_for(batch.numel(), [&](std::int64_t i) {
    run(choice, batch_entry(xs, batch, i), batch_entry(ws, batch, i), batch_entry(y, batch, i), options, batch.numel());
  });
}

/// Weights that are stored in another order than that of their axis.
void multiply_stored(std::string_view op, const Tensor& x, const Tensor& w, const Tensor& y, const Options& options) {
  const Tensor stored = as_stored(w);
  if (w.packing()->axis == w.ndim() - 2) {
    return multiply_into(op, in_stored_order(dense_operand(op, x), w), stored, y, options);
  }
  Backend& backend = backend_for(y.device());
  const Tensor made = backend.allocate(y.shape(), y.dtype());
  multiply_into(op, x, stored, made, options);
  backend.copy(in_axis_order(made, w), y);
}

/// (1, last axis) of a tensor: where rows that are told by offsets are counted from.
Tensor first_row(const Tensor& t) {
  const TensorImpl& impl = t.impl();
  return make_view(t, {1, impl.shape.back()}, {0, impl.strides[impl.strides.rank() - 1]}, impl.offset);
}

}  // namespace

bool broadcast_shapes(const Shape& a, const Shape& b, Shape* out) {
  const int rank = std::max(a.rank(), b.rank());
  *out = Shape::filled(rank, 1);
  for (int i = 1; i <= rank; ++i) {
    const std::int64_t sa = i <= a.rank() ? a[a.rank() - i] : 1;
    const std::int64_t sb = i <= b.rank() ? b[b.rank() - i] : 1;
    if (sa < 0 || sb < 0 || (sa != sb && sa != 1 && sb != 1)) return false;
    (*out)[rank - i] = sa == 1 ? sb : sa;
  }
  return true;
}

Shape leading(const Shape& shape, int keep) {
  return Shape(std::span<const std::int64_t>(shape).first(static_cast<std::size_t>(shape.rank() - keep)));
}

void require_product_dtype(std::string_view op, const char* operand, const Tensor& t) {
  if (!is_arithmetic_float(t.dtype())) {
    throw Error(ErrorCode::dtype_mismatch,
                fmt::format("[{}] {} {}: a product takes f32, f16 or bf16; cast it first", op, operand, describe(t)));
  }
}

void multiply_into(std::string_view op, const Tensor& a, const Tensor& b, const Tensor& y, const Options& options) {
  if (y.numel() == 0) return;
  if (packed_along_batch(a)) return multiply_into(op, decode_for_product(op, a), b, y, options);
  if (packed_along_batch(b)) return multiply_into(op, a, decode_for_product(op, b), y, options);
  if (a.is_quantized() && b.is_quantized()) {
    // No kernel reads two packed operands: the smaller one is decoded.
    if (a.numel() <= b.numel()) return multiply_into(op, decode_for_product(op, a), b, y, options);
    return multiply_into(op, a, decode_for_product(op, b), y, options);
  }
  // Packed on the left: the transposed product, written through a transposed view of y.
  if (a.is_quantized()) {
    return multiply_into(op, swapaxes(b, -1, -2), swapaxes(a, -1, -2), swapaxes(y, -1, -2), options);
  }
  if (has_input_order(b)) return multiply_stored(op, a, b, y, options);
  // One matrix of weights serves every batch entry: their rows are one tall matrix.
  const bool one_weight = leading(b.shape(), 2).numel() == 1;
  if (const std::optional<Tensor> rows = one_weight ? flat_rows(y) : std::nullopt) {
    const Tensor w = b.ndim() == 2 ? b : batch_entry(b, leading(b.shape(), 2), 0);
    Shape full = leading(y.shape(), 1);
    full.push_back(a.size(-1));
    const Tensor x = a.shape() == full ? a : broadcast_to(a, full);
    return multiply_matrices(op, reshape(x, {rows->size(0), x.size(-1)}), w, *rows, options);
  }
  multiply_batches(op, a, b, y, options);
}

void multiply_groups(std::string_view op, const Tensor& x, const Tensor& w, const Tensor& y,
                     std::span<const RowGroup> groups, std::span<const std::int64_t> distinct, const Options& options) {
  if (packed_along_batch(w)) return multiply_groups(op, x, decode_for_product(op, w), y, groups, distinct, options);
  // Groups of a size have one kernel. It is chosen here, since a thread of the pool knows nothing of the caller's
  // options.
  const auto rows = static_cast<std::int64_t>(groups.empty() ? 0 : y.numel() / y.size(-1));
  const bool shared = static_cast<std::int64_t>(distinct.size()) < rows;
  const Choice* preparing = nullptr;  // of the kernels, the one that prepares rows which several groups take
  CachedVector<Choice> choices;
  choices.reserve(groups.size());
  for (const RowGroup& group : groups) {
    choices.push_back(choose(w, static_cast<std::int64_t>(group.x_rows.size()), options, shared));
    if (const MatmulKernel* kernel = choices.back().kernel) {
      if (shared && preparing == nullptr && kernel->prepare) preparing = &choices.back();
      continue;
    }
    if (w.is_quantized()) return multiply_groups(op, x, decode_for_product(op, w), y, groups, distinct, options);
    refuse_product(op, x, w);
  }
  const Tensor from = first_row(x), to = first_row(y);
  const Shape matrices{w.size(0)};
  const auto products = static_cast<std::int64_t>(groups.size());
  std::unique_ptr<const PreparedRows> prepared;
  if (preparing != nullptr) {
    const Tensor matrix = batch_entry(w, matrices, 0);
    prepared = preparing->kernel->prepare(args_of(*preparing, from, matrix, to, options, products, distinct));
  }
  parallel_for(products, [&](std::int64_t i) {
    const RowGroup& group = groups[static_cast<std::size_t>(i)];
    const Choice& choice = choices[static_cast<std::size_t>(i)];
    const Tensor matrix = batch_entry(w, matrices, group.matrix);
    MatmulArgs args = args_of(choice, from, matrix, to, options, products, group.x_rows, group.y_rows);
    if (prepared && choice.kernel == preparing->kernel) {
      args.prepared = prepared.get();
      args.prepared_rows = group.x_numbers;
    }
    choice.kernel->run(args);
  });
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
