#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/files/checkpoint.h"
#include "adapters/files/pack_plan.h"

namespace nibble {
inline namespace v0 {
namespace files {

struct FolderOptions {
  /// Packs what it names; what is packed otherwise becomes dense, but for MLX's own packing, which is kept.
  std::optional<PackPlan> plan;
  bool dequantize = false;     ///< everything dense
  std::optional<DType> dtype;  ///< of dense weights and of scales; by default the model's, and bf16 from a GGUF
  bool force = false;          ///< an existing folder is replaced, if it is empty or a model's
  /// Called before each tensor and once at the end, where done == total.
  std::function<void(std::size_t done, std::size_t total, std::string_view name)> progress;
};

/// Writes a model as a folder that mlx-lm loads (and, when nothing is packed, transformers): config.json in
/// transformers 4's spelling, model.safetensors or shards and index as the input has them, generation_config.json,
/// tokenizer files copied or, from a GGUF, made from its arrays. Tensors go through memory a few rows at a time. The
/// folder appears under its name when all is written; on failure nothing is left. Returns what the model has and the
/// folder could not be given, a line each. Throws Error.
std::vector<std::string> write_model_folder(const Checkpoint& checkpoint, const std::filesystem::path& out,
                                            const FolderOptions& options);

}  // namespace files
}  // namespace v0
}  // namespace nibble
