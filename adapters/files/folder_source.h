#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "adapters/files/mlx_packing.h"
#include "adapters/files/packer.h"
#include "adapters/files/weight_source.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// How a folder's weights are packed, as far as its configuration says.
struct FolderPacking {
  MlxPacking mlx;
  std::shared_ptr<const Packer> packer;  ///< another's than MLX; null: none
};

/// The weights of a model folder: model.safetensors.index.json's shards, or model*.safetensors. MLX's triplets become
/// one packed tensor each. Throws Error(invalid_file) naming file, tensor and rule.
std::unique_ptr<WeightSource> open_folder(const std::filesystem::path& folder, const FolderPacking& packing);
/// Of one .safetensors file.
std::unique_ptr<WeightSource> open_safetensors(const std::filesystem::path& file, const FolderPacking& packing);

}  // namespace files
}  // namespace v0
}  // namespace nibble
