#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "nibble/tensor.h"

/// Model files. Reading maps files into memory: tensors borrow the mapping, nothing is copied. Whatever is wrong with a
/// file is one Error that names file, tensor and rule, before anything of the size that a header claims has been
/// allocated: Error(io_error) where it cannot be opened, invalid_file for what its format forbids, unsupported for what
/// is not read or written here.
namespace nibble {
inline namespace v0 {

using TensorMap = std::map<std::string, Tensor>;

/// The tensors of a .safetensors file, dense as stored, and its metadata (huggingface/safetensors, format of 0.5).
struct SafetensorsFile {
  TensorMap tensors;
  std::map<std::string, std::string> metadata;
};
NIBBLE_API SafetensorsFile load_safetensors(const std::filesystem::path& path);

/// Writes tensors, packed ones as their components ("<name>" codes, "<stem>.scales", "<stem>.biases" as MLX names
/// them). Atomic: a temporary file, fsync, rename; on failure the old file stays.
NIBBLE_API void save_safetensors(const std::filesystem::path& path, const TensorMap& tensors,
                                 const std::map<std::string, std::string>& metadata = {});

/// The tensors of a model folder (Hugging Face or mlx-lm), a .safetensors or a .gguf file by Hugging Face names, packed
/// where the file is. The experts of Qwen2-MoE and Qwen3-MoE come stacked as (experts, out, in) by MLX's name,
/// "….mlp.switch_mlp.up_proj.weight". Of an .onnx file the constants.
NIBBLE_API TensorMap load(const std::filesystem::path& path);

}  // namespace v0
}  // namespace nibble
