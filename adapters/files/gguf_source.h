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

/// "model.layers.0.self_attn.q_proj.weight" for "blk.0.attn_q.weight"; empty where there is no such name.
std::string hugging_face_name(std::string_view gguf_name);

}  // namespace files
}  // namespace v0
}  // namespace nibble
