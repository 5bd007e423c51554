#include "adapters/llm/linear.h"

#include <fmt/format.h>

#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace llm {

Linear::Linear(const Tensor& weight, Tensor bias) : weight_(transpose(weight)), bias_(std::move(bias)) {}

void Linear::add_update(LoraWeights update) {
  const bool fits = update.a.ndim() == 2 && update.b.ndim() == 2 && update.a.size(0) == in_features() &&
                    update.b.size(1) == out_features() && update.a.size(1) == update.b.size(0);
  if (!fits) {
    throw Error(ErrorCode::shape_mismatch,
                fmt::format("[lora] a {} · b {}: a weight ({}, {}) takes a ({}, r) and b (r, {})", describe(update.a),
                            describe(update.b), out_features(), in_features(), in_features(), out_features()));
  }
  updates_.push_back(std::move(update));
}

Tensor Linear::operator()(const Tensor& x) const {
  Tensor y = matmul(x, weight_);
  if (bias_.defined()) y = y + bias_;
  for (const LoraWeights& update : updates_) {
    y = y + update.scale * matmul(matmul(x, update.a), update.b);
  }
  return cast(y, x.dtype());  // a weight that is wider than the activations does not widen the computation
}

std::uint64_t Linear::nbytes() const {
  std::uint64_t total = weight_.nbytes() + (bias_.defined() ? bias_.nbytes() : 0);
  for (const LoraWeights& update : updates_) total += update.a.nbytes() + update.b.nbytes();
  return total;
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
