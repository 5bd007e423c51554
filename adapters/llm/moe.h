#pragma once

#include <cstdint>
#include <optional>

#include "adapters/llm/feed_forward.h"
#include "adapters/llm/linear.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace llm {

/// A mixture of experts (Shazeer et al., 2017): a router ranks them for each token, which passes the first `used`;
/// their outputs are summed by the router's probabilities. In Qwen2-MoE every token passes a shared expert too, to the
/// degree that a gate of its own says.
struct MixtureOfExperts {
  Linear router;          ///< hidden → experts
  Tensor gate, up, down;  ///< (experts, in, out): of every expert's feed-forward network
  Activation activation = nullptr;
  std::int64_t used = 0;
  bool normalize = false;  ///< whether the probabilities of the experts used are made to sum to 1

  struct Shared {
    Linear gate;  ///< hidden → 1
    FeedForward expert;
  };
  std::optional<Shared> shared;

  /// x (…, hidden) → (…, hidden) in x's dtype.
  Tensor operator()(const Tensor& x) const;
  std::uint64_t nbytes() const;
};

}  // namespace llm
}  // namespace v0
}  // namespace nibble
