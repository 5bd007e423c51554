#pragma once

#include <string>
#include <string_view>

#include "adapters/files/config.h"

/// What GGUF and Hugging Face call the same things.
namespace nibble {
inline namespace v0 {
namespace files {

struct GgufArchitecture {
  std::string_view name;        ///< general.architecture
  std::string_view model_type;  ///< in config.json
  Architecture architecture;
  /// llama.cpp pairs neighbours in this model's rotary embedding, and so stores row 2j + s of a head of q and k where
  /// Hugging Face has row s·D/2 + j.
  bool pairs_neighbours = false;
  bool qk_norm = false;
  bool has_experts = false;
  bool normalizes_experts = false;  ///< what llama.cpp does, whatever the metadata says
};

/// Null for an architecture that nibble does not run.
const GgufArchitecture* find_gguf_architecture(std::string_view name);
/// What a model is called there.
const GgufArchitecture& gguf_architecture_of(Architecture architecture);
/// The names of those that nibble runs.
std::string gguf_architectures();

/// "model.layers.0.self_attn.q_proj.weight" for "blk.0.attn_q.weight"; empty where there is no such name.
std::string hugging_face_name(std::string_view gguf_name);
/// The other way round.
std::string gguf_name(std::string_view hugging_face_name);

}  // namespace files
}  // namespace v0
}  // namespace nibble
