#pragma once

#include <span>
#include <string>
#include <string_view>

#include "adapters/files/config.h"

/// The decoder models that are understood, a row each.
namespace nibble {
inline namespace v0 {
namespace files {

struct ArchitectureRow {
  Architecture architecture;
  std::string_view model_type;  ///< in config.json
  std::string_view class_name;  ///< transformers'
  std::string_view gguf_name;   ///< general.architecture
  /// llama.cpp pairs neighbours in this model's rotary embedding, and so stores row 2j + s of a head of q and k where
  /// Hugging Face has row s·D/2 + j.
  bool pairs_neighbours = false;
  bool qk_norm = false;
  bool has_experts = false;
  bool normalizes_experts = false;  ///< what llama.cpp does, whatever the metadata says
};

std::span<const ArchitectureRow> architecture_table();
const ArchitectureRow& architecture_row(Architecture architecture);
/// Null for an architecture that nibble does not run. Of models with one name there, the first is what a file is read
/// as.
const ArchitectureRow* find_gguf_architecture(std::string_view name);
/// The names of those that nibble runs.
std::string gguf_architectures();

}  // namespace files
}  // namespace v0
}  // namespace nibble
