#include <fmt/format.h>

#include "adapters/files/file_error.h"
#include "adapters/files/json_events.h"
#include "adapters/files/mapped_file.h"
#include "adapters/files/packer.h"

namespace nibble {
inline namespace v0 {
namespace files {

// Each file that defines a method is named here.
extern const PackingMethod gptq_method, awq_method, compressed_tensors_method, fp8_method, mxfp4_method,
    bitsandbytes_method;

namespace {

using nlohmann::json;

constexpr const PackingMethod* kMethods[] = {&gptq_method, &awq_method,   &compressed_tensors_method,
                                             &fp8_method,  &mxfp4_method, &bitsandbytes_method};

/// Older folders have their method's configuration in a file of its own, whose name tells the method.
constexpr std::pair<const char*, const PackingMethod*> kOwnFiles[] = {{"quantize_config.json", &gptq_method},
                                                                      {"quant_config.json", &awq_method}};

std::unique_ptr<const Packer> configure(const PackingMethod& method, const json& config,
                                        const std::filesystem::path& file, const char* prefix) {
  const std::string origin = file.string();
  if (!config.is_object()) bad_file(file, prefix, "is not an object");
  return method.configure(Reader(config, origin, prefix));
}

}  // namespace

std::span<const PackingMethod* const> packing_method_table() { return kMethods; }

const PackingMethod* find_packing_method(std::string_view name) {
  for (const PackingMethod* method : kMethods) {
    if (method->name == name) return method;
  }
  return nullptr;
}

std::string packing_methods() {
  std::string names;
  for (const PackingMethod* method : kMethods) names += (names.empty() ? "" : ", ") + std::string(method->name);
  return names;
}

std::vector<std::string> packing_config_files() {
  std::vector<std::string> files;
  for (const auto& [name, method] : kOwnFiles) files.emplace_back(name);
  return files;
}

std::unique_ptr<const Packer> find_packer(std::string_view config_json, const std::filesystem::path& folder) {
  if (!config_json.empty()) {
    const json config = parse_small_json(config_json, folder / "config.json");
    const auto block = config.find("quantization_config");
    if (block != config.end() && block->is_object()) {
      const PackingMethod* method = find_packing_method(block->value("quant_method", json()).is_string()
                                                            ? block->value("quant_method", std::string())
                                                            : std::string());
      return method ? configure(*method, *block, folder / "config.json", "quantization_config.") : nullptr;
    }
  }
  for (const auto& [name, method] : kOwnFiles) {
    const std::filesystem::path file = folder / name;
    if (!std::filesystem::exists(file)) continue;
    return configure(*method, parse_small_json(read_small_file(file, kSmallJson), file), file, "");
  }
  return nullptr;
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
