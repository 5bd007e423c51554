#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "adapters/files/checkpoint.h"
#include "adapters/files/mlx_packing.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// A config.json for this model as transformers 4 spells it (rope_theta, rope_scaling, torch_dtype), which readers of
/// either version understand. Throws Error(unsupported) where the file format cannot say it (rope_factors).
std::string write_config(const ModelConfig& config);

/// The same configuration in transformers 4's spelling, other keys kept; the dtype and the blocks that say how weights
/// are packed replaced: written where `packing->present`, else gone. Null: those stay.
std::string rewrite_config(std::string_view config_json, const std::string& origin, std::optional<DType> dtype,
                           const MlxPacking* packing);

/// A generation_config.json.
std::string write_generation_config(const GenerationConfig& config);

}  // namespace files
}  // namespace v0
}  // namespace nibble
