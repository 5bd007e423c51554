#include "adapters/files/gguf_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <span>

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

/// Stems, that is without ".weight" and ".bias".
struct NamePair {
  std::string_view gguf, hugging_face;
};
constexpr NamePair kOuterNames[] = {
    {"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};
constexpr NamePair kLayerNames[] = {{"attn_norm", "input_layernorm"},
                                    {"ffn_norm", "post_attention_layernorm"},
                                    {"attn_q", "self_attn.q_proj"},
                                    {"attn_k", "self_attn.k_proj"},
                                    {"attn_v", "self_attn.v_proj"},
                                    {"attn_output", "self_attn.o_proj"},
                                    {"attn_q_norm", "self_attn.q_norm"},
                                    {"attn_k_norm", "self_attn.k_norm"},
                                    {"ffn_gate", "mlp.gate_proj"},
                                    {"ffn_up", "mlp.up_proj"},
                                    {"ffn_down", "mlp.down_proj"},
                                    {"ffn_gate_inp", "mlp.gate"},
                                    {"ffn_gate_exps", "mlp.switch_mlp.gate_proj"},
                                    {"ffn_up_exps", "mlp.switch_mlp.up_proj"},
                                    {"ffn_down_exps", "mlp.switch_mlp.down_proj"},
                                    {"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
                                    {"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
                                    {"ffn_up_shexp", "mlp.shared_expert.up_proj"},
                                    {"ffn_down_shexp", "mlp.shared_expert.down_proj"}};

/// One side's spelling: what layers' names begin with, and how to find a stem.
struct Spelling {
  std::string_view layers;
  std::string_view NamePair::*stem;
};
constexpr Spelling kGgufNames{"blk.", &NamePair::gguf}, kHuggingFaceNames{"model.layers.", &NamePair::hugging_face};

std::string_view look_up(std::span<const NamePair> table, std::string_view stem, const Spelling& from,
                         const Spelling& to) {
  const auto found = std::ranges::find(table, stem, from.stem);
  return found == table.end() ? std::string_view() : (*found).*(to.stem);
}

std::string translated(std::string_view name, const Spelling& from, const Spelling& to) {
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view stem = name.substr(0, dot), suffix = name.substr(dot);
  if (const auto outer = look_up(kOuterNames, stem, from, to); !outer.empty())
    return fmt::format("{}{}", outer, suffix);
  if (!stem.starts_with(from.layers)) return {};
  const auto end = stem.find('.', from.layers.size());
  if (end == std::string_view::npos) return {};
  const std::string_view number = stem.substr(from.layers.size(), end - from.layers.size());
  const auto inner = look_up(kLayerNames, stem.substr(end + 1), from, to);
  const bool is_number =
      !number.empty() && std::ranges::all_of(number, [](unsigned char c) { return std::isdigit(c) != 0; });
  if (inner.empty() || !is_number) return {};
  return fmt::format("{}{}.{}{}", to.layers, number, inner, suffix);
}

}  // namespace

std::string hugging_face_name(std::string_view name) { return translated(name, kGgufNames, kHuggingFaceNames); }
std::string gguf_name(std::string_view name) { return translated(name, kHuggingFaceNames, kGgufNames); }

}  // namespace files
}  // namespace v0
}  // namespace nibble
