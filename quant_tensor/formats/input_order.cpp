#include "quant_tensor/formats/input_order.h"

#include <fmt/format.h>

#include <span>
#include <vector>

#include "nibble/error.h"
#include "nibble/quantization.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

Tensor with_orders(const Tensor& packed, const Tensor& order, const Tensor& places) {
  const TensorImpl& impl = packed.impl();
  auto packing = make_cached<Packing>(*impl.packing);
  packing->input_order = order;
  packing->input_places = places;
  return make_tensor({impl.shape, impl.strides, impl.offset, impl.dtype, nullptr, std::move(packing)});
}

Tensor numbers_of(std::span<const std::int32_t> values, Device device) {
  const Tensor numbers = make_dense({static_cast<std::int64_t>(values.size())}, DType::i32);
  std::copy(values.begin(), values.end(), mutable_data<std::int32_t>(numbers));
  return numbers.to(device);
}

}  // namespace

Tensor with_input_order(std::string_view op, const Tensor& packed, const Tensor& order) {
  const auto fail = [&](ErrorCode code, const std::string& rule) {
    throw Error(code, fmt::format("[{}] {} · {} {}: {}", op, describe(packed), kInputOrder, describe(order), rule));
  };
  const Packing& packing = *packed.packing();
  if (!order.defined()) fail(ErrorCode::invalid_argument, "must be i32");
  if (has_input_order(packed)) fail(ErrorCode::invalid_argument, "given twice");
  if (order.is_quantized() || order.dtype() != DType::i32) fail(ErrorCode::dtype_mismatch, "must be i32");
  if (!(order.shape() == Shape{packing.row_length}))
    fail(ErrorCode::shape_mismatch, fmt::format("must be ({},)", packing.row_length));

  const std::vector<std::int32_t> entries = order.to_vector<std::int32_t>();
  std::vector<std::int32_t> places(entries.size(), -1);
  bool is_in_place = true;
  for (std::size_t j = 0; j < entries.size(); ++j) {
    const auto entry = static_cast<std::size_t>(entries[j]);
    if (entries[j] < 0 || entry >= places.size() || places[entry] >= 0)
      fail(ErrorCode::invalid_argument, fmt::format("is no permutation: entry {} is {}", j, entries[j]));
    places[entry] = static_cast<std::int32_t>(j);
    is_in_place = is_in_place && entry == j;
  }
  if (is_in_place) return packed;
  return with_orders(packed, numbers_of(entries, packed.device()), numbers_of(places, packed.device()));
}

Tensor in_order_of(const Tensor& like, const Tensor& made) {
  if (!has_input_order(like)) return made;
  return with_orders(made, like.packing()->input_order.to(made.device()),
                     like.packing()->input_places.to(made.device()));
}

Tensor as_stored(const Tensor& t) { return has_input_order(t) ? with_orders(t, {}, {}) : t; }

bool has_input_order(const Tensor& t) { return t.is_quantized() && t.packing()->input_order.defined(); }

}  // namespace detail
}  // namespace v0
}  // namespace nibble
