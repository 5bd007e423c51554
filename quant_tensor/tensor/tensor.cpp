#include "nibble/tensor.h"

#include <fmt/format.h>

#include <cstring>

#include "quant_tensor/formats/format.h"
#include "quant_tensor/tensor/alignment.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace {

using detail::TensorImpl;

/// Calls visit(element offset) for every index of the shape, the last axis fastest.
template <class Visit>
void for_each_element(const Shape& shape, const Strides& strides, std::int64_t offset, Visit&& visit) {
  if (shape.numel() == 0) return;
  Shape index = Shape::filled(shape.rank(), 0);
  while (true) {
    visit(offset);
    int axis = shape.rank() - 1;
    for (; axis >= 0; --axis) {
      offset += strides[axis];
      if (++index[axis] < shape[axis]) break;
      offset -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
    if (axis < 0) return;
  }
}

void store_as(DType dtype, float value, std::byte* out) {
  if (dtype == DType::f16) {
    const float16 half(value);
    std::memcpy(out, &half, 2);
  } else if (dtype == DType::bf16) {
    const bfloat16 half(value);
    std::memcpy(out, &half, 2);
  } else {
    std::memcpy(out, &value, 4);
  }
}

/// Decodes by the scalar reference, each stored row once, and scatters to row-major order of the logical shape.
void copy_out_packed(const TensorImpl& impl, std::byte* out) {
  const Packing& packing = *impl.packing;
  const std::int64_t length = impl.shape[packing.axis];
  const auto item = static_cast<std::int64_t>(itemsize(impl.dtype));
  // The same loop over rows in two coordinate systems: where a row lies in storage, and where its first element goes.
  Shape rows = impl.shape;
  rows[packing.axis] = length > 0 ? 1 : 0;
  Strides row_strides = impl.strides;
  row_strides[packing.axis] = 0;
  const Strides out_strides = detail::contiguous_strides(impl.shape);
  const std::vector<std::int32_t> order =
      packing.input_order.defined() ? packing.input_order.to_vector<std::int32_t>() : std::vector<std::int32_t>();
  std::vector<std::int64_t> starts;
  for_each_element(rows, out_strides, 0, [&](std::int64_t start) { starts.push_back(start); });
  std::vector<float> values(static_cast<std::size_t>(length));
  std::size_t next = 0;
  for_each_element(rows, row_strides, impl.offset, [&](std::int64_t row) {
    packing.format->decode(detail::packed_row(packing, row), packing.begin, length, values.data());
    const std::int64_t start = starts[next++];
    for (std::int64_t j = 0; j < length; ++j) {
      const auto at = static_cast<std::size_t>(j);
      const std::int64_t k = order.empty() ? j : order[at];
      store_as(impl.dtype, values[at], out + (start + k * out_strides[packing.axis]) * item);
    }
  });
}

void copy_out_dense(const TensorImpl& impl, std::byte* out) {
  const std::size_t item = itemsize(impl.dtype);
  const std::byte* data = impl.storage->data();
  if (detail::is_contiguous(impl.shape, impl.strides)) {
    const std::size_t bytes = static_cast<std::size_t>(impl.shape.numel()) * item;
    if (bytes > 0) std::memcpy(out, data + impl.offset * static_cast<std::int64_t>(item), bytes);
    return;
  }
  for_each_element(impl.shape, impl.strides, impl.offset, [&](std::int64_t at) {
    std::memcpy(out, data + at * static_cast<std::int64_t>(item), item);
    out += item;
  });
}

void require_dtype(const Tensor& t, DType as) {
  if (t.dtype() != as) {
    throw Error(ErrorCode::dtype_mismatch, fmt::format("[read] {} read as {}: cast it first", describe(t), name(as)));
  }
}

}  // namespace

const detail::TensorImpl& Tensor::impl() const {
  if (!impl_) throw Error(ErrorCode::invalid_argument, "[tensor] an undefined tensor has neither shape nor values");
  return *impl_;
}

const Shape& Tensor::shape() const { return impl().shape; }
std::int64_t Tensor::size(int axis) const { return shape()[detail::normalize_axis("size", axis, ndim())]; }
std::int64_t Tensor::numel() const { return shape().numel(); }
int Tensor::ndim() const { return shape().rank(); }
DType Tensor::dtype() const { return impl().dtype; }

Device Tensor::device() const {
  const TensorImpl& i = impl();
  return i.packing ? i.packing->components.front().device() : i.storage->device();
}

bool Tensor::is_contiguous() const {
  const TensorImpl& i = impl();
  return !i.packing && detail::is_contiguous(i.shape, i.strides);
}

bool Tensor::is_quantized() const noexcept { return impl_ && impl_->packing; }
const Packing* Tensor::packing() const noexcept { return impl_ ? impl_->packing.get() : nullptr; }

std::uint64_t Tensor::nbytes() const {
  const TensorImpl& i = impl();
  if (!i.packing) return static_cast<std::uint64_t>(i.shape.numel()) * itemsize(i.dtype);
  const std::int64_t length = i.shape[i.packing->axis];
  const std::int64_t rows = length == 0 ? 0 : i.shape.numel() / length;
  std::uint64_t row_bytes = 0;
  for (std::size_t c = 0; c < i.packing->components.size(); ++c) {
    row_bytes += static_cast<std::uint64_t>(i.packing->format->width(static_cast<int>(c), length)) *
                 itemsize(i.packing->components[c].dtype());
  }
  const std::uint64_t order_bytes = i.packing->input_order.defined() ? i.packing->input_order.nbytes() : 0;
  return static_cast<std::uint64_t>(rows) * row_bytes + order_bytes;
}

const void* Tensor::raw_data() const {
  if (!is_contiguous() || device() != Device::cpu()) {
    throw Error(ErrorCode::unsupported,
                fmt::format("[data] {} on {}: only a contiguous dense tensor in host memory has an address",
                            describe(*this), nibble::to_string(device())));
  }
  return detail::bytes_of(*this);
}

const void* Tensor::data_checked(DType as) const {
  require_dtype(*this, as);
  const void* data = raw_data();
  if (!detail::is_aligned(*this)) {
    throw Error(ErrorCode::unsupported,
                fmt::format("[data] {}: is not aligned to its elements; contiguous() copies it", describe(*this)));
  }
  return data;
}

void Tensor::copy_out(void* out, DType as) const {
  require_dtype(*this, as);
  const Tensor host = to(Device::cpu());
  auto* bytes = static_cast<std::byte*>(out);
  if (host.is_quantized()) {
    copy_out_packed(host.impl(), bytes);
  } else {
    copy_out_dense(host.impl(), bytes);
  }
}

void Tensor::item_out(void* out, DType as) const {
  if (numel() != 1) {
    throw Error(ErrorCode::shape_mismatch,
                fmt::format("[item] {}: has {} elements, not one", describe(*this), numel()));
  }
  copy_out(out, as);
}

std::string describe(const Tensor& t) {
  if (!t.defined()) return "undefined";
  if (!t.is_quantized()) return fmt::format("{} {}", name(t.dtype()), to_string(t.shape()));
  // A packed weight is shown as it is stored: rows along the packed axis, with a ᵀ if the view turns them.
  const Packing& packing = *t.packing();
  const int last = t.ndim() - 1;
  const std::string_view order = packing.input_order.defined() ? " reordered" : "";
  if (packing.axis == last - 1) {
    Shape stored = t.shape();
    std::swap(stored[last], stored[last - 1]);
    return fmt::format("{} {}ᵀ{}", packing.format->name, to_string(stored), order);
  }
  const std::string suffix = packing.axis == last ? "" : fmt::format(" packed along axis {}", packing.axis);
  return fmt::format("{} {}{}{}", packing.format->name, to_string(t.shape()), suffix, order);
}

Tensor from_borrowed(std::shared_ptr<const void> owner, const void* data, const Shape& shape, DType dtype) {
  const std::size_t bytes = detail::checked_bytes("from_borrowed", shape, dtype);
  // The storage is marked read-only, so the const of the caller's memory holds.
  auto storage = std::make_shared<detail::Storage>(const_cast<void*>(data), bytes, Device::cpu(), false,
                                                   [owner = std::move(owner)]() mutable { owner.reset(); });
  return detail::make_tensor({shape, detail::contiguous_strides(shape), 0, dtype, std::move(storage), nullptr});
}

}  // namespace v0
}  // namespace nibble
