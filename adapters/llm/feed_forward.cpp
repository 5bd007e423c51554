#include "adapters/llm/feed_forward.h"

#include <fmt/format.h>

#include <algorithm>

#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace llm {
namespace {

struct NamedActivation {
  std::string_view name;
  Activation apply;
};
constexpr NamedActivation kActivations[] = {{"silu", silu}, {"gelu", gelu}, {"gelu_tanh", gelu_tanh}, {"relu", relu}};

}  // namespace

Activation find_activation(std::string_view name) {
  const auto* found = std::find_if(std::begin(kActivations), std::end(kActivations),
                                   [&](const NamedActivation& a) { return a.name == name; });
  if (found == std::end(kActivations)) {
    throw Error(ErrorCode::unsupported, fmt::format("[model] hidden_act {}: not an activation known here", name));
  }
  return found->apply;
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
