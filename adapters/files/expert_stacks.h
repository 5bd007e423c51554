#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "adapters/files/weight_source.h"

/// The experts of a layer are one product's operand, so they are one tensor here: (experts, out, in), named as MLX
/// does, "model.layers.0.mlp.switch_mlp.gate_proj.weight".
namespace nibble {
inline namespace v0 {
namespace files {

/// Whether models of this type have experts of that name.
bool has_expert_stacks(std::string_view model_type);

/// `source` with the experts stacked that stand one by one ("model.layers.0.mlp.experts.7.gate_proj.weight") or with
/// gate and up in one tensor ("model.layers.0.mlp.experts.gate_up_proj"), as transformers 5 holds them. Pieces are
/// brought together when they are asked for, one stack at a time. Throws Error(invalid_file) where pieces are missing
/// or do not fit.
std::unique_ptr<WeightSource> stack_experts(std::unique_ptr<WeightSource> source);

bool is_expert_stack(std::string_view name);
/// The name of one expert of a stack where they stand one by one.
std::string expert_name(std::string_view stack, std::int64_t expert);

}  // namespace files
}  // namespace v0
}  // namespace nibble
