#pragma once

#include <cstdint>
#include <string_view>

#include "adapters/llm/linear.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace llm {

using Activation = Tensor (*)(const Tensor&);
/// By the configuration's name. Throws Error(unsupported).
Activation find_activation(std::string_view name);

/// A gated feed-forward network (Shazeer, 2020).
struct FeedForward {
  Linear gate, up, down;
  Activation activation = nullptr;

  Tensor operator()(const Tensor& x) const {
    const Tensor gated = gate(x), wide = up(x);  // neither of which waits for the other
    return down(activation(gated) * wide);
  }
  std::uint64_t nbytes() const { return gate.nbytes() + up.nbytes() + down.nbytes(); }
};

}  // namespace llm
}  // namespace v0
}  // namespace nibble
