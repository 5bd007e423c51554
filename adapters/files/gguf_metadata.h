#pragma once

#include <string>
#include <vector>

#include "adapters/files/checkpoint.h"
#include "adapters/files/gguf_write.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// A model's configuration under llama.cpp's keys. Throws Error(unsupported) where they cannot say what its arithmetic
/// is.
void write_gguf_config(const ModelConfig& config, GgufPairs* out);
/// The divisors of a model's rotary frequencies, which are a tensor there; empty where there are none.
std::vector<float> gguf_rope_factors(const ModelConfig& config);

/// A model's tokenizer, for `vocab_size` tokens. Returns what of it the keys cannot say, a line each.
std::vector<std::string> write_gguf_tokenizer(const Checkpoint& checkpoint, std::int64_t vocab_size, GgufPairs* out);

}  // namespace files
}  // namespace v0
}  // namespace nibble
