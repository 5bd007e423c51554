#include <fmt/format.h>

#include <algorithm>

#include "dispatch/constants.h"
#include "dispatch/fallback.h"
#include "dispatch/input_order.h"
#include "dispatch/layout.h"
#include "dispatch/packed.h"
#include "dispatch/product.h"
#include "dispatch/route.h"
#include "dispatch/validation.h"
#include "quant_tensor/formats/format.h"
#include "quant_tensor/tensor/counters.h"
#include "quant_tensor/tensor/tensor_impl.h"
#include "quant_tensor/tensor/values.h"

namespace nibble {
inline namespace v0 {
namespace {

using namespace detail;

void require_index(std::string_view op, const Tensor& x, const Tensor& indices) {
  const DType d = indices.dtype();
  if (d == DType::i32 || d == DType::i64 || d == DType::u32) return;
  refuse(ErrorCode::dtype_mismatch, op, fmt::format("x {} · indices {}", describe(x), describe(indices)),
         "indices must be i32, i64 or u32");
}

/// Whether writing into x cannot be seen through any other tensor: the handle is the only one of its impl, the impl the
/// only one of its storage (or of its packing, and each component likewise), and no two elements share a place.
bool is_sole_owner(const Tensor& x) {
  const TensorImpl& impl = x.impl();
  if (x.impl_ptr().use_count() != 1) return false;
  if (impl.packing) {
    const auto& components = impl.packing->components;
    return impl.packing.use_count() == 1 && std::all_of(components.begin(), components.end(), is_sole_owner);
  }
  if (impl.storage.use_count() != 1 || !impl.storage->writable()) return false;
  for (int a = 0; a < impl.shape.rank(); ++a) {
    if (impl.shape[a] > 1 && impl.strides[a] == 0) return false;
  }
  return true;
}

Tensor copy_of(const Tensor& x) {
  Backend& backend = backend_for(x.device());
  Tensor out = backend.allocate(x.shape(), x.dtype());
  backend.copy(x, out);
  return out;
}

/// x itself if it may be written to, else a counted copy.
Tensor writable(Tensor x) {
  if (is_sole_owner(x)) {
    if (x.is_quantized()) forget_copies(x);
    return x;
  }
  if (options().fallback == Fallback::error) {
    refuse(ErrorCode::fallback_forbidden, "update_slice", x,
           "another tensor shares its storage, and Fallback::error forbids copying it");
  }
  count(counters().bytes_copied, x.nbytes());
  if (!x.is_quantized()) return copy_of(x);
  const Packing& packing = *x.packing();
  CachedVector<Tensor> components;
  for (const Tensor& component : packing.components) components.push_back(copy_of(component));
  return make_packed(*packing.format, components, x.shape(), x.dtype());
}

/// Whether rows can be written over those of x, packed along its last axis, where they lie.
bool holds_whole_rows(const Tensor& x, int axis) {
  const TensorImpl& impl = x.impl();
  const Packing& packing = *impl.packing;
  Shape rows = impl.shape;
  Strides strides = impl.strides;
  rows.erase(packing.axis);
  strides.erase(packing.axis);
  return packing.format->encode && !has_input_order(x) && packing.axis == x.ndim() - 1 && axis != packing.axis &&
         impl.offset == 0 && packing.begin == 0 && packing.row_length == x.size(-1) && is_contiguous(rows, strides);
}

Tensor window(const Tensor& x, int axis, std::int64_t start, std::int64_t count) {
  Shape shape = x.shape();
  shape[axis] = count;
  return make_view(x, shape, x.impl().strides, x.impl().offset + start * x.impl().strides[axis]);
}

std::string operands(const Tensor& x, const Tensor& rows) {
  return fmt::format("x {} · rows {}", describe(x), describe(rows));
}

void require_start(const Tensor& x, const Tensor& rows, const Position& start, int axis) {
  if (!start.is_tensor()) return;
  const Tensor& t = start.tensor();
  const bool one = t.ndim() == 0, each = t.ndim() == 1 && axis != 0 && t.size(0) == x.size(0);
  if (t.dtype() != DType::i32 || (!one && !each)) {
    refuse(ErrorCode::invalid_argument, "update_slice", fmt::format("{} · start {}", operands(x, rows), describe(t)),
           "start is a number or an i32 tensor of shape () or (B,)");
  }
}

/// Where the rows of each entry of axis 0 begin: one number for all, or a number each. Checked against the axis.
CachedVector<std::int64_t> starts_of(const Tensor& x, const Tensor& rows, const Position& start, int axis) {
  CachedVector<std::int64_t> starts{start.value()};
  if (start.is_tensor()) {
    const auto values = values_of<std::int32_t>(start.tensor());
    starts.assign(values.begin(), values.end());
  }
  const std::int64_t last = x.shape()[axis] - rows.shape()[axis];
  for (const std::int64_t s : starts) {
    if (s < 0 || s > last) {
      refuse(ErrorCode::out_of_range, "update_slice", operands(x, rows),
             fmt::format("{} rows from {} on leave axis {}", rows.shape()[axis], s, axis));
    }
  }
  return starts;
}

/// As many rows of `rows` from row `at` on as lie one after another in x, packed as they are written.
void encode_rows(const Tensor& rows, const Tensor& x, std::int64_t at) {
  const Packing& packing = *x.packing();
  CachedVector<Tensor> lines;
  for (const Tensor& component : packing.components) {
    const std::int64_t width = component.size(-1);
    lines.push_back(make_view(component, {rows.size(0), width}, {width, 1}, component.impl().offset + at * width));
  }
  backend_for(x.device()).quantize(rows, *packing.format, lines);
}

/// Packs rows over those of `out`: out[before, start : start + n, after, K], from (before, n, after, K).
void update_packed(const Tensor& out, const Tensor& from, std::span<const std::int64_t> starts, int axis) {
  std::int64_t before = 1, after = 1;
  for (int a = 0; a < axis; ++a) before *= out.size(a);
  for (int a = axis + 1; a + 1 < out.ndim(); ++a) after *= out.size(a);
  const std::int64_t each = before / static_cast<std::int64_t>(starts.size()), count = from.size(axis) * after;
  const Tensor lines = reshape(contiguous(from), {before, count, out.size(-1)});
  for (std::int64_t i = 0; count > 0 && i < before; ++i) {
    const std::int64_t start = starts[static_cast<std::size_t>(i / each)];
    encode_rows(select(lines, 0, i), out, (i * out.size(axis) + start) * after);
  }
}

}  // namespace

Tensor take(const Tensor& x, const Tensor& indices, int axis) {
  axis = normalize_axis("take", axis, x.ndim());
  require_index("take", x, indices);
  if (x.is_quantized()) return take_packed(x, indices, axis);
  // The taken axis goes first and its result back into its place.
  Axes order{axis};
  for (int a = 0; a < x.ndim(); ++a) {
    if (a != axis) order.push_back(a);
  }
  Tensor in = axis == 0 ? x : permute(x, order), at = indices;
  Shape shape = indices.shape();
  for (int a = 1; a < in.ndim(); ++a) shape.push_back(in.shape()[a]);
  Backend& backend = route("take", in, at);
  Tensor out = backend.allocate(shape, x.dtype());
  backend.take(in, at, out);
  if (axis == 0) return out;
  Axes back;
  for (int a = 0; a < axis; ++a) back.push_back(indices.ndim() + a);
  for (int a = 0; a < indices.ndim(); ++a) back.push_back(a);
  for (int a = axis + 1; a < x.ndim(); ++a) back.push_back(indices.ndim() + a - 1);
  return permute(out, back);
}

Tensor take_along_axis(const Tensor& x, const Tensor& indices, int axis) {
  axis = normalize_axis("take_along_axis", axis, x.ndim());
  require_index("take_along_axis", x, indices);
  const auto fail = [&] {
    refuse(ErrorCode::shape_mismatch, "take_along_axis",
           fmt::format("x {} · indices {}", describe(x), describe(indices)),
           fmt::format("shapes do not broadcast beside axis {}", axis));
  };
  if (indices.ndim() != x.ndim()) fail();
  Shape in_shape = x.shape(), index_shape = indices.shape();
  const std::int64_t m = index_shape[axis], n = in_shape[axis];
  in_shape[axis] = index_shape[axis] = 1;
  Shape common;
  if (!broadcast_shapes(in_shape, index_shape, &common)) fail();
  in_shape = index_shape = common;
  in_shape[axis] = n;
  index_shape[axis] = m;
  Tensor in = move_last(broadcast_view(dense_operand("take_along_axis", x), in_shape), axis);
  Tensor at = move_last(broadcast_view(indices, index_shape), axis);
  Backend& backend = route("take_along_axis", in, at);
  Tensor out = backend.allocate(at.shape(), x.dtype());
  backend.take_along_last(in, at, out);
  return move_back(out, axis);
}

Tensor update_slice(Tensor x, const Tensor& rows, const Position& start, int axis) {
  axis = normalize_axis("update_slice", axis, x.ndim());
  Shape like = rows.shape();
  if (like.rank() == x.ndim()) like[axis] = x.shape()[axis];
  if (!(like == x.shape())) {
    refuse(ErrorCode::shape_mismatch, "update_slice", fmt::format("x {} · rows {}", describe(x), describe(rows)),
           fmt::format("shapes differ beside axis {}", axis));
  }
  require_start(x, rows, start, axis);
  const Tensor from = dense_operand("update_slice", rows);
  require_one_device("update_slice", x, from);
  Backend& backend = route("update_slice", x);
  const bool packs = x.is_quantized() && holds_whole_rows(x, axis);
  if (x.is_quantized() && !packs) x = dense_operand("update_slice", x);
  // Starts on a device stay there: reading them would wait for it.
  const bool elsewhere = start.is_tensor() && start.tensor().device() == x.device() && x.device() != Device::cpu();
  CachedVector<std::int64_t> starts;
  if (!elsewhere) starts = starts_of(x, rows, start, axis);
  Tensor out = writable(std::move(x));
  if (elsewhere) {
    if (backend.update_slice(from, start.tensor(), axis, out)) return out;
    starts = starts_of(out, rows, start, axis);
  }
  if (packs) {
    update_packed(out, from, starts, axis);
    return out;
  }
  const std::int64_t n = from.shape()[axis];
  if (starts.size() == 1) {
    backend.copy(from, window(out, axis, starts[0], n));
    return out;
  }
  for (std::int64_t b = 0; b < out.size(0); ++b) {
    backend.copy(window(from, 0, b, 1), window(window(out, 0, b, 1), axis, starts[static_cast<std::size_t>(b)], n));
  }
  return out;
}

}  // namespace v0
}  // namespace nibble
