#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "nibble/tensor.h"

namespace nibble {
inline namespace v0 {

/// One low-rank update (Hu et al., 2021): y = matmul(x, wᵀ) + scale · matmul(matmul(x, a), b).
struct LoraWeights {
  Tensor a;  ///< (in, r)
  Tensor b;  ///< (r, out)
  double scale = 1;
};

/// A LoRA adapter by module path ("model.layers.0.self_attn.q_proj").
using LoraAdapter = std::map<std::string, LoraWeights>;

/// Reads a PEFT or mlx-lm adapter folder: rslora, rank_pattern and alpha_pattern understood; DoRA and anything else
/// that would change the arithmetic is refused by name (Error(unsupported)).
NIBBLE_API LoraAdapter load_lora(const std::filesystem::path& folder);

}  // namespace v0
}  // namespace nibble
