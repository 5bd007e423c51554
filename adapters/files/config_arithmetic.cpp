#include <algorithm>
#include <array>

#include "adapters/files/config_reader.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

using nlohmann::json;

/// What a key is about that changes the arithmetic in some model, and the number at which it does nothing: everybody
/// invents keys, but names them alike.
struct Subject {
  std::string_view part_of_name;
  double neutral;
};
constexpr std::array kSubjects = std::to_array<Subject>({
    {"multiplier", 1}, {"scale", 1},   {"scaling", 1},   {"factor", 1},   {"_pct", 1},       {"_group", 1},
    {"rope", 0},       {"rotary", 0},  {"alibi", 0},     {"position", 0}, {"ntk", 0},        {"attn", 0},
    {"attention", 0},  {"window", 0},  {"head", 0},      {"qk", 0},       {"kv_", 0},        {"cap", 0},
    {"clip", 0},       {"clamp", 0},   {"norm", 0},      {"bias", 0},     {"activation", 0}, {"_act", 0},
    {"gate", 0},       {"mlp", 0},     {"ffn", 0},       {"dense", 0},    {"expert", 0},     {"moe", 0},
    {"router", 0},     {"scoring", 0}, {"lora", 0},      {"residual", 0}, {"parallel", 0},   {"embed", 0},
    {"emb_", 0},       {"logit", 0},   {"dim_model", 0}, {"encoder", 0},  {"nextn", 0},      {"mtp", 0},
    {"conv_", 0},      {"ssm", 0},     {"mamba", 0},     {"depth", 0},
});

const Subject* subject_of(std::string_view key) {
  const auto names = [&](const Subject& s) { return key.find(s.part_of_name) != std::string_view::npos; };
  const auto found = std::ranges::find_if(kSubjects, names);
  return found == kSubjects.end() ? nullptr : &*found;
}

/// Keys with such names that change nothing in what is computed, only in training or in how, or in models without what
/// they speak of.
constexpr std::array kHarmless = std::to_array<std::string_view>(
    {"attn_implementation", "use_flash_attn", "output_attentions", "output_router_logits", "num_logits_to_keep",
     "logits_to_keep", "max_window_layers", "sliding_window", "use_sliding_window"});
constexpr std::array kHarmlessEndings =
    std::to_array<std::string_view>({"dropout", "_dropout_prob", "_pdrop", "_loss_coef", "_jitter_noise"});
constexpr std::array kOfExperts =
    std::to_array<std::string_view>({"moe_intermediate_size", "norm_topk_prob", "shared_expert_intermediate_size",
                                     "num_experts_per_tok", "mlp_only_layers", "decoder_sparse_step"});

bool is_harmless(std::string_view key, const ModelConfig& config) {
  const bool always_biased =
      config.architecture == Architecture::qwen2 || config.architecture == Architecture::qwen2_moe;
  return key.starts_with('_') || std::ranges::find(kHarmless, key) != kHarmless.end() ||
         std::ranges::any_of(kHarmlessEndings, [&](std::string_view ending) { return key.ends_with(ending); }) ||
         (!config.experts && std::ranges::find(kOfExperts, key) != kOfExperts.end()) ||
         (always_biased && key == "attention_bias");  // whatever it says, as in transformers
}

bool does_nothing(const json& value, double neutral) {
  if (value.is_number()) return value.get<double>() == neutral;
  return value.is_null() || value == json(false) || ((value.is_structured() || value.is_string()) && value.empty());
}

}  // namespace

void refuse_what_changes_the_arithmetic(const Reader& reader, const ModelConfig& config) {
  if (const auto scoring = reader.text("scoring_func"); scoring && *scoring != "softmax")
    reader.unsupported("scoring_func", fmt::format("{} is not supported (only softmax is)", shown(*scoring)));
  for (const auto& [key, value] : reader.unread()) {
    const Subject* subject = subject_of(key);
    if (subject == nullptr || is_harmless(key, config) || does_nothing(*value, subject->neutral)) continue;
    reader.unsupported(
        key, fmt::format("{}: a key of this name changes the arithmetic, and is not supported", shown(value->dump())));
  }
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
