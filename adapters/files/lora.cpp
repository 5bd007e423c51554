#include "nibble/lora.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include "adapters/files/file_error.h"
#include "adapters/files/json_events.h"
#include "adapters/files/mapped_file.h"
#include "adapters/files/module_pattern.h"
#include "adapters/files/safetensors.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

[[noreturn]] void unsupported(const fs::path& file, std::string_view key, const json& value) {
  refuse(ErrorCode::unsupported, file, key, fmt::format("{} is not supported", shown(value.dump())));
}

bool is_off(const json& value) {
  return value.is_null() || value == json(false) || ((value.is_array() || value.is_object()) && value.empty());
}

double number(const json& config, const fs::path& file, const char* key) {
  const auto found = config.find(key);
  if (found == config.end() || !found->is_number()) bad_file(file, key, "is missing or not a number");
  const double value = found->get<double>();
  if (!std::isfinite(value)) bad_file(file, key, "is not finite");
  return value;
}

/// One module's two factors, as they are found one by one.
struct Pair {
  Tensor a, b;
};

/// Shapes (in, r) and (r, out).
void check_pair(const fs::path& file, const std::string& module, const Pair& pair, std::int64_t rank) {
  if (!pair.a.defined() || !pair.b.defined()) bad_file(file, module, "has one of its two factors only");
  const bool is_matrix = pair.a.ndim() == 2 && pair.b.ndim() == 2;
  if (!is_matrix || pair.a.size(1) != pair.b.size(0)) {
    bad_file(file, module, fmt::format("factors {} and {} do not fit", describe(pair.a), describe(pair.b)));
  }
  if (!is_floating(pair.a.dtype()) || pair.a.dtype() != pair.b.dtype()) {
    bad_file(file, module,
             fmt::format("factors {} and {} are not of one floating dtype", describe(pair.a), describe(pair.b)));
  }
  if (pair.a.size(1) != rank) {
    bad_file(file, module, fmt::format("has rank {}, but adapter_config.json says {}", pair.a.size(1), rank));
  }
  if (rank == 0) bad_file(file, module, "has rank 0");
}

// ---- PEFT: huggingface/peft, src/peft/tuners/lora -------------------------------------------------------------------

/// Whatever here is on computes something else than a·b with a scale.
constexpr std::array<const char*, 12> kOtherArithmetic{"use_dora",
                                                       "use_qalora",
                                                       "use_bdlora",
                                                       "lora_bias",
                                                       "alora_invocation_tokens",
                                                       "layer_replication",
                                                       "target_parameters",
                                                       "arrow_config",
                                                       "monteclora_config",
                                                       "modules_to_save",
                                                       "trainable_token_indices",
                                                       "kasa_config"};

void check_peft_config(const json& config, const fs::path& file) {
  const json type = config.value("peft_type", json(nullptr));
  if (type != json("LORA")) unsupported(file, "peft_type", type);
  for (const char* key : kOtherArithmetic) {
    if (const auto found = config.find(key); found != config.end() && !is_off(*found)) unsupported(file, key, *found);
  }
  if (const json bias = config.value("bias", json("none")); bias != json("none")) unsupported(file, "bias", bias);
  // The other initialisations (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA) change the base's weights as well.
  const json init = config.value("init_lora_weights", json(true));
  const bool keeps_base = init.is_boolean() || init.is_null() || init == json("gaussian") || init == json("eva") ||
                          init == json("orthogonal");
  if (!keeps_base) unsupported(file, "init_lora_weights", init);
}

/// rank_pattern or alpha_pattern: the number that each gives to modules.
class NumbersByPattern {
 public:
  NumbersByPattern(const json& config, const std::string& text, const fs::path& file, const char* key)
      : file_(file), key_(key) {
    constexpr std::size_t kMost = 4096;  // each is tried on each module
    const auto patterns = config.find(key);
    if (patterns == config.end() || patterns->is_null()) return;
    if (!patterns->is_object()) bad_file(file, key, "is not an object");
    if (patterns->size() > kMost) bad_file(file, key, fmt::format("has more than {} patterns", kMost));
    for (const auto& [pattern, value] : patterns->items()) {
      if (!value.is_number()) bad_file(file, key, fmt::format("{} is not given a number", shown(pattern)));
    }
    // Once more, in the order of the file.
    stream_json(text, file, [&](const JsonLeaf& leaf) {
      if (leaf.at(0, key)) add(leaf.path.back().key, leaf.real);
    });
  }

  /// As PEFT's get_pattern_key finds it: of the first key that, as a regular expression, matches the module's path or a
  /// tail of it that begins behind a dot.
  double of(const std::string& module, double otherwise) const {
    for (const Entry& entry : entries_) {
      if (with_name(entry.text, [&] { return entry.pattern->matches(module); })) return entry.number;
    }
    return otherwise;
  }

 private:
  struct Entry {
    std::string text;
    std::unique_ptr<const ModulePattern> pattern;
    double number;
  };

  void add(const std::string& text, double number) {
    entries_.push_back({text, with_name(text, [&] { return std::make_unique<const ModulePattern>(text); }), number});
  }
  template <class Use>
  auto with_name(const std::string& text, Use use) const -> decltype(use()) {
    try {
      return use();
    } catch (const Error& e) {
      bad_file(file_, key_, fmt::format("{} cannot be used as a regular expression: {}", shown(text), e.what()));
    }
  }

  const fs::path& file_;
  const char* key_;
  std::vector<Entry> entries_;
};

/// "model.layers.0.mlp.up_proj" for "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"; `is_a` says which
/// factor.
std::string peft_module(const fs::path& file, std::string_view name, bool* is_a) {
  for (const auto& [suffix, a] :
       {std::pair{std::string_view(".lora_A.weight"), true}, std::pair{std::string_view(".lora_B.weight"), false}}) {
    if (!name.ends_with(suffix)) continue;
    name.remove_suffix(suffix.size());
    constexpr std::string_view kPrefix = "base_model.model.";
    if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
    *is_a = a;
    return std::string(name);
  }
  const bool is_dora = name.find("lora_magnitude_vector") != std::string_view::npos;
  refuse(ErrorCode::unsupported, file, name,
         is_dora ? "DoRA is not supported" : "is no factor of a linear layer; not supported");
}

LoraAdapter load_peft(const fs::path& folder) {
  const fs::path config_file = folder / "adapter_config.json";
  const std::string text = read_small_file(config_file, kSmallJson);
  const json config = parse_small_json(text, config_file);
  check_peft_config(config, config_file);
  const SafetensorsReader reader(folder / "adapter_model.safetensors");
  std::map<std::string, Pair> pairs;
  for (const SafetensorsEntry& entry : reader.entries()) {
    bool is_a = false;
    Pair& pair = pairs[peft_module(reader.path(), entry.name, &is_a)];
    if (entry.shape.rank() != 2)
      bad_file(reader.path(), entry.name, fmt::format("{} is not a matrix", to_string(entry.shape)));
    // PEFT stores both as torch.nn.Linear weights, (out, in).
    (is_a ? pair.a : pair.b) = swapaxes(reader.tensor(entry), 0, 1);
  }
  const NumbersByPattern ranks(config, text, config_file, "rank_pattern"),
      alphas(config, text, config_file, "alpha_pattern");
  LoraAdapter adapter;
  const bool is_rslora = config.value("use_rslora", json(false)) == json(true);
  for (auto& [module, pair] : pairs) {
    const double rank = ranks.of(module, number(config, config_file, "r"));
    const double alpha = alphas.of(module, number(config, config_file, "lora_alpha"));
    check_pair(reader.path(), module, pair, std::llround(rank));
    adapter.emplace(module, LoraWeights{pair.a, pair.b, alpha / (is_rslora ? std::sqrt(rank) : rank)});
  }
  return adapter;
}

// ---- mlx-lm: mlx_lm/tuner/lora.py -----------------------------------------------------------------------------------

LoraAdapter load_mlx(const fs::path& folder) {
  const fs::path config_file = folder / "adapter_config.json";
  const json config = parse_small_json(read_small_file(config_file, kSmallJson), config_file);
  const json type = config.value("fine_tune_type", json("lora"));
  if (type != json("lora")) unsupported(config_file, "fine_tune_type", type);
  const auto parameters = config.find("lora_parameters");
  if (parameters == config.end() || !parameters->is_object()) bad_file(config_file, "lora_parameters", "is missing");
  const double scale = number(*parameters, config_file, "scale");
  const std::int64_t rank = std::llround(number(*parameters, config_file, "rank"));

  const SafetensorsReader reader(folder / "adapters.safetensors");
  std::map<std::string, Pair> pairs;
  for (const SafetensorsEntry& entry : reader.entries()) {
    const auto dot = entry.name.rfind('.');
    const std::string module = entry.name.substr(0, dot),
                      part = dot == std::string::npos ? std::string() : entry.name.substr(dot + 1);
    if (part == "m") refuse(ErrorCode::unsupported, reader.path(), entry.name, "DoRA is not supported");
    if (part != "lora_a" && part != "lora_b")
      refuse(ErrorCode::unsupported, reader.path(), entry.name, "is no factor of a linear layer; not supported");
    if (module.ends_with("embed_tokens"))
      refuse(ErrorCode::unsupported, reader.path(), entry.name, "LoRA on an embedding is not supported");
    (part == "lora_a" ? pairs[module].a : pairs[module].b) = reader.tensor(entry);
  }
  LoraAdapter adapter;
  for (auto& [module, pair] : pairs) {
    check_pair(reader.path(), module, pair, rank);
    adapter.emplace(module, LoraWeights{pair.a, pair.b, scale});
  }
  return adapter;
}

}  // namespace
}  // namespace files

LoraAdapter load_lora(const std::filesystem::path& folder) {
  return files::with_system_errors([&] {
    if (!std::filesystem::is_directory(folder)) files::bad_file(folder, "", "is not an adapter folder");
    if (std::filesystem::exists(folder / "adapter_model.safetensors")) return files::load_peft(folder);
    if (std::filesystem::exists(folder / "adapters.safetensors")) return files::load_mlx(folder);
    files::bad_file(folder, "", "has neither adapter_model.safetensors (PEFT) nor adapters.safetensors (mlx-lm)");
  });
}

}  // namespace v0
}  // namespace nibble
