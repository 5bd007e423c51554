#pragma once

#include <cstddef>
#include <string>

#include "adapters/files/tokenizer_source.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// A tokenizer.json for Hugging Face's `tokenizers` that encodes as the source says: byte-level BPE, or for
/// sentencepiece pieces a BPE with byte fallback whose merges are found again as transformers' own converter finds
/// them. Throws Error(unsupported) for other kinds.
std::string write_tokenizer_json(const TokenizerSource& source);
/// Tokens whose text JSON cannot hold: what is not UTF-8 in them is written as U+FFFD.
std::size_t tokens_not_utf8(const TokenizerSource& source);
/// The tokenizer_config.json beside it: roles of tokens, and the chat template.
std::string write_tokenizer_config(const TokenizerSource& source);

}  // namespace files
}  // namespace v0
}  // namespace nibble
