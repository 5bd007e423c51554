#pragma once

#include <string>
#include <string_view>

#include "adapters/files/tokenizer_source.h"

namespace nibble {
inline namespace v0 {
namespace llm {

/// A serialized sentencepiece ModelProto of BPE type with byte fallback, made of a source's tokens, scores and types:
/// what libsentencepiece loads. Protocol buffers' wire format is written by hand for the dozen fields needed
/// (google/sentencepiece, sentencepiece_model.proto), because Debian ships the library without the message's header.
std::string serialized_sentencepiece_model(const files::TokenizerSource& source);

/// Bytes that, put behind any serialized ModelProto, switch its dummy prefix: protocol buffers merge a submessage that
/// comes twice, and the later value of a field stands.
std::string dummy_prefix_override(bool add_dummy_prefix);

/// Whether libsentencepiece can be given a serialized ModelProto: it takes the word of normalization rules for where
/// among them it must read on, and ends the process over a piece that begins with the byte 0, where it sees its end.
bool is_sound_model(std::string_view model);

}  // namespace llm
}  // namespace v0
}  // namespace nibble
