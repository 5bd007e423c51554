#pragma once

#include <cmath>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "adapters/hosts/c/handles.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

namespace nibble {
namespace hosts {

/// How an argument of a C++ function comes in C: its type there, and what `from` makes of it for the call.
template <class T>
struct In;

template <class T>
struct InNumber {
  using Type = T;
  static T from(T value) { return value; }
};
template <>
struct In<std::int64_t> : InNumber<std::int64_t> {};
template <>
struct In<std::uint64_t> : InNumber<std::uint64_t> {};
template <>
struct In<int> : InNumber<std::int32_t> {};
template <>
struct In<double> : InNumber<double> {};
template <>
struct In<bool> {
  using Type = std::int32_t;
  static bool from(std::int32_t flag) { return flag != 0; }
};

template <>
struct In<DType> {
  using Type = nibble_dtype;
  static DType from(nibble_dtype dtype) { return dtype_of_number(dtype); }
};
template <>
struct In<std::optional<DType>> {
  using Type = nibble_dtype;
  static std::optional<DType> from(nibble_dtype dtype) {
    return dtype == NIBBLE_NO_DTYPE ? std::nullopt : std::optional(dtype_of_number(dtype));
  }
};

template <>
struct In<const Shape&> {
  using Type = nibble_dims;
  static Shape from(nibble_dims dims) { return shape_of(dims); }
};

template <>
struct In<std::string_view> {
  using Type = const char*;
  static std::string_view from(const char* text) { return required(text, "text"); }
};

template <>
struct In<const Tensor&> {
  using Type = const nibble_tensor*;
  static const Tensor& from(const nibble_tensor* handle) { return tensor_of(handle); }
};
template <>
struct In<Tensor> {  // used up by the call
  using Type = nibble_tensor*;
  static Tensor from(nibble_tensor* handle) { return handle ? std::exchange(handle->tensor, Tensor()) : Tensor(); }
};

template <>
struct In<Scalar> {
  using Type = nibble_value;
  static Scalar from(nibble_value value);
};
template <>
struct In<const Operand&> {
  using Type = nibble_value;
  static Operand from(nibble_value value);
};
template <>
struct In<const Position&> {
  using Type = nibble_value;
  static Position from(nibble_value value);
};

template <>
struct In<std::span<const Tensor>> {
  using Type = nibble_list;
  struct List {
    std::vector<Tensor> tensors;
    operator std::span<const Tensor>() const { return tensors; }
  };
  static List from(nibble_list list);
};

template <>
struct In<const RopeScaling&> {
  using Type = const nibble_rope_scaling*;
  static RopeScaling from(const nibble_rope_scaling* scaling);
};
template <>
struct In<const RopeFrequencies&> {
  using Type = const nibble_rope_table*;
  static RopeFrequencies from(const nibble_rope_table* table);
};
template <>
struct In<const AttentionOptions&> {
  using Type = const nibble_attention_options*;
  static AttentionOptions from(const nibble_attention_options* options);
};
template <>
struct In<AffineParams> {
  using Type = const nibble_affine_params*;
  static AffineParams from(const nibble_affine_params* params);
};
template <>
struct In<const QuantizeParams&> {
  using Type = const nibble_quantize_params*;
  static QuantizeParams from(const nibble_quantize_params* params);
};

/// What a C function has for the result of a C++ one: a pointer to this.
template <class Result>
struct Out {
  using Type = nibble_tensor*;
};
template <>
struct Out<RopeFrequencies> {
  using Type = nibble_rope_table;
};

void give(std::vector<Tensor> tensors, nibble_tensor** out);
void give(TopK result, nibble_tensor** out);
void give(RopeFrequencies result, nibble_rope_table* out);

}  // namespace hosts
}  // namespace nibble
