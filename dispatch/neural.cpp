#include <fmt/format.h>

#include <cmath>

#include "backend/common/rope_pairs.h"
#include "dispatch/fallback.h"
#include "dispatch/input_order.h"
#include "dispatch/layout.h"
#include "dispatch/product.h"
#include "dispatch/route.h"
#include "dispatch/validation.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace {

using namespace detail;

void require_float(std::string_view op, const Tensor& x) {
  if (!is_arithmetic_float(x.dtype())) refuse(ErrorCode::dtype_mismatch, op, x, "takes f32, f16 or bf16");
}

// ---- norms ----

/// A norm's weight or bias: one number for each entry of x's last axis.
Tensor per_channel(std::string_view op, const Tensor& x, std::string_view what, const Tensor& t) {
  if (!t.defined()) return t;
  require_float(op, t);
  if (t.ndim() != 1 || x.ndim() == 0 || t.size(0) != x.size(-1)) {
    refuse(ErrorCode::shape_mismatch, op, fmt::format("x {} · {} {}", describe(x), what, describe(t)),
           fmt::format("{} must have one entry for each of x's last axis", what));
  }
  return dense_operand(op, t);
}

DType norm_dtype(const Tensor& x, const Tensor& weight) {
  return weight.defined() ? promote(x.dtype(), weight.dtype()) : x.dtype();
}

void require_norm_operand(std::string_view op, const Tensor& x) {
  require_float(op, x);
  if (x.ndim() == 0) refuse(ErrorCode::shape_mismatch, op, x, "a number has no axis to normalize over");
}

// ---- rope ----

/// Positions as i32 (B, T) by strides, from a number, a () or (B,) offset, or (1, T) or (B, T) positions.
Tensor positions_of(const Tensor& x, const Position& position, std::int64_t batch, std::int64_t steps) {
  const Shape shape{batch, steps};
  if (!position.is_tensor()) {
    const std::int64_t p = position.value();
    return broadcast_view(counting(p, p + steps, DType::i32, x.device()), shape);
  }
  const Tensor& t = position.tensor();
  const auto fits = [&](const Shape& s) { return t.shape() == s; };
  if (t.dtype() == DType::i32) {
    if (fits({}) || fits({1})) return broadcast_view(add(t, counting(0, steps, DType::i32, t.device())), shape);
    if (fits({batch})) return add(expand_dims(t, -1), counting(0, steps, DType::i32, t.device()));
    if (fits({1, steps}) || fits(shape)) return broadcast_view(dense_operand("rope", t), shape);
  }
  refuse(ErrorCode::shape_mismatch, "rope", fmt::format("x {} · positions {}", describe(x), describe(t)),
         "positions are a number or i32 of shape (), (B,), (1, T) or (B, T)");
}

void require_frequencies(std::string_view op, std::int64_t dims, double theta, const RopeScaling& scaling) {
  if (dims < 2 || dims % 2 != 0 || !(theta > 0) || !(scaling.factor > 0)) {
    refuse(ErrorCode::invalid_argument, op, fmt::format("{} dims, theta {}, factor {}", dims, theta, scaling.factor),
           "dims must be even and positive, theta and factor positive");
  }
}

// ---- attention ----

constexpr std::string_view kAttention = "scaled_dot_product_attention";

std::string attention_text(const Tensor& q, const Tensor& k, const Tensor& v) {
  return fmt::format("q {} · k {} · v {}", describe(q), describe(k), describe(v));
}

void validate_attention(const Tensor& q, const Tensor& k, const Tensor& v) {
  const auto fail = [&](ErrorCode code, std::string_view rule) {
    refuse(code, kAttention, attention_text(q, k, v), rule);
  };
  for (const Tensor* t : {&q, &k, &v}) {
    if (!is_arithmetic_float(t->dtype())) fail(ErrorCode::dtype_mismatch, "takes f32, f16 or bf16");
    if (t->ndim() != 4) fail(ErrorCode::shape_mismatch, "each must have the axes (B, H, T, D)");
  }
  if (q.size(0) != k.size(0) || k.size(0) != v.size(0)) fail(ErrorCode::shape_mismatch, "batch sizes differ");
  if (k.size(1) != v.size(1) || k.size(2) != v.size(2))
    fail(ErrorCode::shape_mismatch, "k and v differ in heads or length");
  if (k.size(1) == 0 ? q.size(1) != 0 : q.size(1) % k.size(1) != 0) {
    fail(ErrorCode::shape_mismatch, "q's heads are no multiple of k's");
  }
  if (q.size(3) != k.size(3))
    fail(ErrorCode::shape_mismatch, fmt::format("depths {} and {} differ", q.size(3), k.size(3)));
}

/// Keys or values: dense, or packed along their last axis where the backend reads them so.
Tensor attention_rows(const Backend& backend, const Tensor& t) {
  const bool as_it_is = t.is_quantized() && backend.attends_packed() && t.packing()->axis == 3 && !has_input_order(t);
  return as_it_is ? t : dense_operand(kAttention, t, DType::f32);
}

Tensor attention_mask(const Tensor& mask, const Shape& scores) {
  if (!mask.defined()) return mask;
  Shape common;
  const bool fits = broadcast_shapes(mask.shape(), scores, &common) && common == scores;
  if (!fits || (mask.dtype() != DType::boolean && !is_floating(mask.dtype()))) {
    refuse(fits ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch, kAttention,
           fmt::format("mask {} · scores {}", describe(mask), to_string(scores)),
           fits ? "a mask is boolean or float" : "shapes do not broadcast");
  }
  const bool boolean = mask.dtype() == DType::boolean;
  return broadcast_view(operand_as(kAttention, mask, boolean ? DType::boolean : DType::f32), scores);
}

Tensor key_lengths(const std::optional<Position>& length, std::int64_t batch, std::int64_t keys, Device device) {
  if (!length) return {};
  if (!length->is_tensor()) {
    if (length->value() < 0 || length->value() > keys) {
      refuse(ErrorCode::out_of_range, kAttention, fmt::format("key length {}", length->value()),
             fmt::format("there are {} keys", keys));
    }
    return broadcast_view(scalar_tensor(length->value(), DType::i32, device), {batch});
  }
  const Tensor& t = length->tensor();
  const bool fits = t.ndim() == 0 || (t.ndim() == 1 && (t.size(0) == batch || t.size(0) == 1));
  if (t.dtype() != DType::i32 || !fits) {
    refuse(ErrorCode::shape_mismatch, kAttention, fmt::format("key length {}", describe(t)),
           fmt::format("must be a number or i32 of shape () or ({},)", batch));
  }
  return broadcast_view(dense_operand(kAttention, t), {batch});
}

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  require_norm_operand("rms_norm", x);
  Tensor w = per_channel("rms_norm", x, "weight", weight);
  Tensor in = operand_as("rms_norm", x, norm_dtype(x, w));
  Backend& backend = w.defined() ? route("rms_norm", in, w) : route("rms_norm", in);
  Tensor out = backend.allocate(in.shape(), in.dtype());
  backend.rms_norm(in, w, eps, out);
  return out;
}

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  require_norm_operand("layer_norm", x);
  Tensor w = per_channel("layer_norm", x, "weight", weight), b = per_channel("layer_norm", x, "bias", bias);
  Tensor in = operand_as("layer_norm", x, norm_dtype(x, w));
  Backend& backend = w.defined() ? route("layer_norm", in, w) : route("layer_norm", in);
  if (b.defined()) bring_together("layer_norm", in, b);
  Tensor out = backend.allocate(in.shape(), in.dtype());
  backend.layer_norm(in, w, b, eps, out);
  return out;
}

std::vector<double> rope_divisors(std::int64_t dims, double theta, const RopeScaling& scaling) {
  require_frequencies("rope_divisors", dims, theta, scaling);
  std::vector<double> divisors;
  for (const RopePair& pair : rope_pairs(dims, theta, scaling)) divisors.push_back(pair.divisor);
  return divisors;
}

RopeFrequencies rope_frequencies(std::int64_t dims, double theta, const RopeScaling& scaling) {
  require_frequencies("rope_frequencies", dims, theta, scaling);
  std::vector<float> inverse;
  for (const RopePair& pair : rope_pairs(dims, theta, scaling)) inverse.push_back(pair.frequency);
  return {from_data(std::span<const float>(inverse), {dims / 2}), rope_scale(scaling)};
}

Tensor rope(const Tensor& x, const Position& positions, const RopeFrequencies& frequencies, bool interleaved) {
  require_float("rope", x);
  if (x.ndim() == 2) return select(rope(expand_dims(x, 0), positions, frequencies, interleaved), 0, 0);
  const Tensor& inverse = frequencies.inverse;
  const bool fits = x.ndim() >= 2 && inverse.ndim() == 1 && inverse.dtype() == DType::f32;
  if (!fits || 2 * inverse.size(0) > x.size(-1)) {
    refuse(ErrorCode::shape_mismatch, "rope", fmt::format("x {} · frequencies {}", describe(x), describe(inverse)),
           "x must be (…, T, D), frequencies f32 with one entry for each pair of D");
  }
  Tensor in = dense_operand("rope", x), turns = dense_operand("rope", inverse);
  Tensor at = positions_of(x, positions, x.size(0), x.size(-2));
  Backend& backend = route("rope", in, at);
  bring_together("rope", in, turns);
  Tensor out = backend.allocate(in.shape(), in.dtype());
  backend.rope(in, at, {turns, frequencies.scale}, interleaved, out);
  return out;
}

Tensor scaled_dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                    const AttentionOptions& options) {
  validate_attention(q, k, v);
  const Shape scores{q.size(0), q.size(1), q.size(2), k.size(2)};
  const double scale = options.scale.value_or(1.0 / std::sqrt(static_cast<double>(q.size(3))));
  const Tensor mask = attention_mask(options.mask, scores);
  const Tensor length = key_lengths(options.key_length, q.size(0), k.size(2), q.device());
  for (const Tensor* t : {&k, &v, &mask, &length}) {
    if (t->defined()) require_one_device(kAttention, q, *t);
  }
  Backend& backend = route(kAttention, q);
  Tensor out = backend.allocate({q.size(0), q.size(1), q.size(2), v.size(3)}, q.dtype());
  backend.attention(dense_operand(kAttention, q), attention_rows(backend, k), attention_rows(backend, v), scale,
                    options.causal, mask, length, out);
  return out;
}

}  // namespace v0
}  // namespace nibble
