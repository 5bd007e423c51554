#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "adapters/files/checkpoint.h"
#include "adapters/files/storage.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// Writes a model as a .gguf file that llama.cpp loads: configuration and tokenizer in its metadata, tensors under its
/// names, rows of q and k in its order. Blocks go over byte for byte, dense weights as they are, norms, biases and
/// routers as f32. Tensors go through memory a few rows at a time; the file appears under its name when all is written.
/// Returns what the model has and the file could not be given, a line each. Throws Error(unsupported) for a model or a
/// packing that GGUF cannot say, by name.
std::vector<std::string> write_model_gguf(const Checkpoint& checkpoint, const std::filesystem::path& out,
                                          const WriteOptions& options);

}  // namespace files
}  // namespace v0
}  // namespace nibble
