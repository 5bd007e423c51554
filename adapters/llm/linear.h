#pragma once

#include <vector>

#include "nibble/lora.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace llm {

/// y = x · wᵀ + bias, and one low-rank term for each adapter that the loader has joined. How the weight is stored is no
/// concern of this class: `matmul` takes any tensor.
class Linear {
 public:
  Linear() = default;
  /// `weight` (out, in) as checkpoints have it; `bias` (out,) or undefined.
  explicit Linear(const Tensor& weight, Tensor bias = {});

  /// Adds `scale · (x · a) · b` to every result from now on.
  void add_update(LoraWeights update);

  /// x (…, in) → (…, out) in x's dtype.
  Tensor operator()(const Tensor& x) const;

  std::int64_t in_features() const { return weight_.size(0); }
  std::int64_t out_features() const { return weight_.size(1); }
  /// Bytes of storage that weight, bias and updates take.
  std::uint64_t nbytes() const;

 private:
  Tensor weight_;  // (in, out): a view, so that no call has to turn it
  Tensor bias_;
  std::vector<LoraWeights> updates_;
};

}  // namespace llm
}  // namespace v0
}  // namespace nibble
