#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "adapters/files/checkpoint.h"
#include "adapters/files/gguf_parts.h"
#include "adapters/files/storage.h"

namespace nibble {
inline namespace v0 {
namespace files {

struct GgufOptions : WriteOptions {
  GgufLimits limits;  ///< of one file: what is more goes into several
};

struct WrittenGguf {
  std::vector<std::filesystem::path> files;  ///< any of them opens the model
  std::vector<std::string> losses;           ///< what the model has and the file could not be given, a line each
};

/// Writes a model as a .gguf file that llama.cpp loads: configuration and tokenizer in its metadata, tensors under its
/// names, rows of q and k in its order. Blocks go over byte for byte, dense weights as they are, norms, biases and
/// routers as f32. Tensors go through memory a few rows at a time; the file appears under its name when all is written.
/// Throws Error(unsupported) for a model or a packing that GGUF cannot say, by name.
WrittenGguf write_model_gguf(const Checkpoint& checkpoint, const std::filesystem::path& out,
                             const GgufOptions& options);

}  // namespace files
}  // namespace v0
}  // namespace nibble
