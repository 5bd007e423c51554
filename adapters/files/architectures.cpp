#include "adapters/files/architectures.h"

#include <fmt/format.h>

#include <algorithm>

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

constexpr ArchitectureRow kArchitectures[] = {
    {.architecture = Architecture::llama,
     .model_type = "llama",
     .class_name = "LlamaForCausalLM",
     .gguf_name = "llama",
     .pairs_neighbours = true},
    {.architecture = Architecture::mistral,
     .model_type = "mistral",
     .class_name = "MistralForCausalLM",
     .gguf_name = "llama",
     .pairs_neighbours = true},
    {.architecture = Architecture::qwen2,
     .model_type = "qwen2",
     .class_name = "Qwen2ForCausalLM",
     .gguf_name = "qwen2"},
    {.architecture = Architecture::qwen2_moe,
     .model_type = "qwen2_moe",
     .class_name = "Qwen2MoeForCausalLM",
     .gguf_name = "qwen2moe",
     .has_experts = true},
    {.architecture = Architecture::qwen3,
     .model_type = "qwen3",
     .class_name = "Qwen3ForCausalLM",
     .gguf_name = "qwen3",
     .qk_norm = true},
    {.architecture = Architecture::qwen3_moe,
     .model_type = "qwen3_moe",
     .class_name = "Qwen3MoeForCausalLM",
     .gguf_name = "qwen3moe",
     .qk_norm = true,
     .has_experts = true,
     .normalizes_experts = true},
};

}  // namespace

std::span<const ArchitectureRow> architecture_table() { return kArchitectures; }

const ArchitectureRow& architecture_row(Architecture architecture) {
  return *std::ranges::find(kArchitectures, architecture, &ArchitectureRow::architecture);
}

const ArchitectureRow* find_gguf_architecture(std::string_view name) {
  const auto* found = std::ranges::find(kArchitectures, name, &ArchitectureRow::gguf_name);
  return found == std::end(kArchitectures) ? nullptr : found;
}

std::string gguf_architectures() {
  std::string names;
  for (const ArchitectureRow& row : kArchitectures) {
    if (&row != find_gguf_architecture(row.gguf_name)) continue;  // one name of two models
    names += fmt::format("{}{}", names.empty() ? "" : ", ", row.gguf_name);
  }
  return names;
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
