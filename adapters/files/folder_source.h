#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "adapters/files/mlx_packing.h"
#include "adapters/files/weight_source.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// The weights of a model folder: model.safetensors.index.json's shards, or model*.safetensors. MLX's triplets become
/// one packed tensor each. Throws Error(invalid_file) naming file, tensor and rule.
std::unique_ptr<WeightSource> open_folder(const std::filesystem::path& folder, const MlxPacking& packing);
/// Of one .safetensors file.
std::unique_ptr<WeightSource> open_safetensors(const std::filesystem::path& file, const MlxPacking& packing);

}  // namespace files
}  // namespace v0
}  // namespace nibble
