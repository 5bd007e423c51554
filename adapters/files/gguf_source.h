#pragma once

#include <memory>

#include "adapters/files/gguf.h"
#include "adapters/files/weight_source.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// A GGUF's weights under Hugging Face's names; for llama's q and k projections, rows in Hugging Face's order.
std::unique_ptr<WeightSource> open_gguf_weights(std::shared_ptr<const GgufFile> file);

/// "llama", "qwen2"; empty where the file does not say.
std::string gguf_architecture(const GgufFile& file);
/// What the metadata says of the model. Throws Error(unsupported | invalid_file) as parse_config does.
ModelConfig gguf_config(const GgufFile& file);
GenerationConfig gguf_generation(const GgufFile& file);

}  // namespace files
}  // namespace v0
}  // namespace nibble
