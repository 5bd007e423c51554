#include "adapters/llm/moe.h"

namespace nibble {
inline namespace v0 {
namespace llm {

Tensor MixtureOfExperts::operator()(const Tensor& x) const {
  // Ranked in f32, whatever the activations' dtype: a tie by rounding would run another expert.
  const TopK chosen = topk(softmax(cast(router(x), DType::f32)), used);
  const Tensor weights = normalize ? chosen.values / sum(chosen.values, {-1}, true) : chosen.values;

  const auto each = [&](const Tensor& rows, const Tensor& w) {
    return cast(gather_matmul(rows, w, chosen.indices), x.dtype());
  };
  const Tensor rows = expand_dims(expand_dims(x, -2), -2);             // (…, 1, 1, hidden)
  const Tensor inner = activation(each(rows, gate)) * each(rows, up);  // (…, used, 1, intermediate)
  const Tensor outputs = squeeze(each(inner, down), {-2});             // (…, used, hidden)
  const Tensor y = cast(sum(outputs * expand_dims(weights, -1), {-2}), x.dtype());
  return shared ? y + sigmoid(shared->gate(x)) * shared->expert(x) : y;
}

std::uint64_t MixtureOfExperts::nbytes() const {
  const std::uint64_t own = router.nbytes() + gate.nbytes() + up.nbytes() + down.nbytes();
  return shared ? own + shared->gate.nbytes() + shared->expert.nbytes() : own;
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
