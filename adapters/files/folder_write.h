#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "adapters/files/checkpoint.h"
#include "adapters/files/storage.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// What the folder is for.
enum class FolderKind : std::uint8_t {
  plain,        ///< mlx-lm's, or transformers': what is not in MLX's formats becomes dense, from a GGUF in bf16
  mlx,          ///< mlx-lm's, and no number lost: what MLX cannot say is refused unless it may be requantized
  safetensors,  ///< as it is: a folder of another method (GPTQ, …) keeps that and every byte; else all formats of
                ///< nibble go over, noted in the files' metadata. Where a dtype is asked for there is no such method
};

struct FolderOptions : WriteOptions {
  FolderKind kind = FolderKind::plain;
};

/// Writes a model as a folder that mlx-lm loads (and, when nothing is packed, transformers; and nibble alone where the
/// kind is safetensors and formats are not MLX's): config.json in
/// transformers 4's spelling, model.safetensors or shards and index as the input has them, generation_config.json,
/// tokenizer files copied or, from a GGUF, made from its arrays. Tensors go through memory a few rows at a time. The
/// folder appears under its name when all is written; on failure nothing is left. Returns what the model has and the
/// folder could not be given, a line each. Throws Error.
std::vector<std::string> write_model_folder(const Checkpoint& checkpoint, const std::filesystem::path& out,
                                            const FolderOptions& options);

}  // namespace files
}  // namespace v0
}  // namespace nibble
