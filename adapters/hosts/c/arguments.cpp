#include "adapters/hosts/c/arguments.h"

#include <fmt/format.h>

#include "nibble/error.h"

namespace nibble {
namespace hosts {

static_assert(NIBBLE_F8_E5M2 == static_cast<int>(DType::f8_e5m2) && NIBBLE_F8_E5M2 + 1 == kDTypeCount);
static_assert(NIBBLE_ROPE_YARN == static_cast<int>(RopeScaling::Type::yarn));

namespace {

[[noreturn]] void refuse_kind(std::int32_t kind, const char* allowed) {
  refuse(ErrorCode::invalid_argument, fmt::format("[value] of kind {}: {}", kind, allowed));
}

std::optional<double> unless_nan(double value) { return std::isnan(value) ? std::nullopt : std::optional(value); }

}  // namespace

Shape shape_of(nibble_dims dims) {
  if (dims.count > 0) required(dims.values, "dims");
  return Shape(std::span(dims.values, dims.count));
}

DType dtype_of_number(nibble_dtype dtype) {
  if (dtype < 0 || dtype >= kDTypeCount) {
    refuse(ErrorCode::invalid_argument, fmt::format("[dtype] {}: there is no such dtype", dtype));
  }
  return static_cast<DType>(dtype);
}

Scalar In<Scalar>::from(nibble_value value) {
  switch (value.kind) {
    case NIBBLE_BOOLEAN: return value.as.integer != 0;
    case NIBBLE_INTEGER: return value.as.integer;
    case NIBBLE_FLOATING: return value.as.floating;
    default: refuse_kind(value.kind, "a number is wanted");
  }
}

Operand In<const Operand&>::from(nibble_value value) {
  switch (value.kind) {
    case NIBBLE_TENSOR: return tensor_of(value.as.tensor);
    case NIBBLE_BOOLEAN: return value.as.integer != 0;
    case NIBBLE_INTEGER: return value.as.integer;
    case NIBBLE_FLOATING: return value.as.floating;
    default: refuse_kind(value.kind, "a tensor or a number is wanted");
  }
}

Position In<const Position&>::from(nibble_value value) {
  if (value.kind == NIBBLE_TENSOR) return tensor_of(value.as.tensor);
  if (value.kind != NIBBLE_INTEGER) refuse_kind(value.kind, "an integer or an i32 tensor is wanted");
  return value.as.integer;
}

In<std::span<const Tensor>>::List In<std::span<const Tensor>>::from(nibble_list list) {
  if (list.count > 0) required(list.tensors, "list");
  List result;
  for (std::size_t i = 0; i < list.count; ++i) result.tensors.push_back(tensor_of(list.tensors[i]));
  return result;
}

RopeScaling In<const RopeScaling&>::from(const nibble_rope_scaling* scaling) {
  if (!scaling) return {};
  const nibble_rope_scaling s = sized(scaling, "nibble_rope_scaling");
  if (s.type < NIBBLE_ROPE_PLAIN || s.type > NIBBLE_ROPE_YARN) {
    refuse(ErrorCode::invalid_argument, fmt::format("[nibble_rope_scaling] type {}: there is no such type", s.type));
  }
  return {.type = static_cast<RopeScaling::Type>(s.type),
          .factor = s.factor,
          .low_freq_factor = s.low_freq_factor,
          .high_freq_factor = s.high_freq_factor,
          .beta_fast = s.beta_fast,
          .beta_slow = s.beta_slow,
          .attention_factor = unless_nan(s.attention_factor),
          .mscale = unless_nan(s.mscale),
          .mscale_all_dim = unless_nan(s.mscale_all_dim),
          .truncate = s.truncate != 0,
          .original_max_position_embeddings = s.original_max_position_embeddings};
}

RopeFrequencies In<const RopeFrequencies&>::from(const nibble_rope_table* table) {
  const nibble_rope_table t = sized(table, "nibble_rope_table");
  return {tensor_of(t.inverse), t.scale};
}

AttentionOptions In<const AttentionOptions&>::from(const nibble_attention_options* options) {
  if (!options) return {};
  const nibble_attention_options o = sized(options, "nibble_attention_options");
  AttentionOptions result;
  if (o.scale != 0) result.scale = o.scale;
  result.causal = o.causal != 0;
  result.mask = tensor_of(o.mask);
  if (o.has_key_length != 0) result.key_length = In<const Position&>::from(o.key_length);
  return result;
}

AffineParams In<AffineParams>::from(const nibble_affine_params* params) {
  if (!params) return {};
  const nibble_affine_params p = sized(params, "nibble_affine_params");
  return {p.bits, p.group_size};
}

QuantizeParams In<const QuantizeParams&>::from(const nibble_quantize_params* params) {
  QuantizeParams result;
  if (!params) return result;
  const nibble_quantize_params p = sized(params, "nibble_quantize_params");
  if (p.bits != 0) result.bits = p.bits;
  if (p.group_size != 0) result.group_size = p.group_size;
  if (p.format) result.format = p.format;
  return result;
}

void give(std::vector<Tensor> tensors, nibble_tensor** out) {
  required(out, "out");
  std::vector<std::unique_ptr<nibble_tensor>> handles;
  for (Tensor& tensor : tensors) handles.emplace_back(new nibble_tensor{std::move(tensor)});
  for (auto& handle : handles) *out++ = handle.release();
}

void give(TopK result, nibble_tensor** out) {
  give(std::vector<Tensor>{std::move(result.values), std::move(result.indices)}, out);
}

void give(RopeFrequencies result, nibble_rope_table* out) {
  auto inverse = std::make_unique<nibble_tensor>(nibble_tensor{std::move(result.inverse)});
  fill(nibble_rope_table{sizeof(nibble_rope_table), inverse.get(), result.scale}, out, "nibble_rope_table");
  inverse.release();
}

}  // namespace hosts
}  // namespace nibble
