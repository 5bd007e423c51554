#pragma once

#include <string>
#include <string_view>

/// What GGUF and Hugging Face call the same things.
namespace nibble {
inline namespace v0 {
namespace files {

/// "model.layers.0.self_attn.q_proj.weight" for "blk.0.attn_q.weight"; empty where there is no such name.
std::string hugging_face_name(std::string_view gguf_name);
/// The other way round.
std::string gguf_name(std::string_view hugging_face_name);

}  // namespace files
}  // namespace v0
}  // namespace nibble
