#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "adapters/cli/command.h"
#include "adapters/files/packer.h"
#include "nibble/quantization.h"

namespace nibble::cli {
namespace {

const char* name_of(Family family) {
  switch (family) {
    case Family::affine: return "affine";
    case Family::codebook: return "codebook";
    case Family::minifloat: return "minifloat";
    case Family::grid: break;
  }
  return "grid";
}

/// "u8, one a group": of what a group of weights has beside its codes.
std::string described(const ComponentInfo& component, const FormatInfo& format) {
  const std::string dtype(component.dtype ? name(*component.dtype) : "f32, f16 or bf16");
  if (component.of_row) return fmt::format("{} {} a row", component.name, dtype);
  return fmt::format("{} {}{}", component.name, dtype,
                     component.width * format.group_size == format.block ? "" : " packed");
}

/// What stands for the scales: components of their own, or the block that codes are in, too.
std::string scales_of(const FormatInfo& format) {
  if (format.components.size() == 1) return fmt::format("in blocks of {}", format.block);
  std::string all;
  for (std::size_t c = 1; c < format.components.size(); ++c)
    all += (c == 1 ? "" : "; ") + described(format.components[c], format);
  return all;
}

/// What a folder's config.json or a GGUF calls it.
std::string stored_as(const FormatInfo& format) {
  if (format.ggml_type) return fmt::format("GGUF type {}", *format.ggml_type);
  return format.mode.empty() ? "" : fmt::format("mode `{}`", format.mode);
}

class Formats final : public Command {
 public:
  void declare(Arguments&) override {}

  Json run(const Console&) override {
    Json rows = Json::array();
    for (const FormatInfo& format : formats()) {
      rows.push_back({{"format", format.name},
                      {"family", name_of(format.family)},
                      {"bits", format.bits},
                      {"bits_per_weight", format.bits_per_weight},
                      {"group_size", format.group_size},
                      {"block", format.block},
                      {"scales", scales_of(format)},
                      {"stored_as", stored_as(format)},
                      {"specification", format.specification}});
    }
    Json methods = Json::array();
    for (const files::PackingMethod* method : files::packing_method_table()) {
      methods.push_back(
          {{"quant_method", method->name}, {"layers", method->layers}, {"specification", method->specification}});
    }
    return {{"formats", std::move(rows)}, {"methods", std::move(methods)}};
  }

  void print(const Json& result) const override {
    fmt::print(
        "# Formats\n\n`nibble formats` prints this page from the table that everything else reads.\n\n"
        "Bits of a weight count all that its group has, scales of 16 bits where they have the weight's own type. Rows "
        "are whole blocks.\n\n"
        "| format | family | bits | of a weight | group | block | scales | stored as | specification |\n"
        "|---|---|--:|--:|--:|--:|---|---|---|\n");
    for (const Json& row : result["formats"]) {
      const auto text = [&](const char* key) { return row[key].get<std::string>(); };
      fmt::print("| `{}` | {} | {} | {:g} | {} | {} | {} | {} | {} |\n", text("format"), text("family"),
                 row["bits"].get<int>(), row["bits_per_weight"].get<double>(), row["group_size"].get<int>(),
                 row["block"].get<int>(), text("scales"), text("stored_as"), text("specification"));
    }
    fmt::print(
        "\n## Folders of other methods\n\nThese are read into the formats above, where nothing else is said without "
        "rounding. `nibble convert --to "
        "safetensors` writes them back, every byte of every tensor, and keeps their configuration.\n\n"
        "| quant_method | layers | specification |\n|---|---|---|\n");
    for (const Json& row : result["methods"]) {
      fmt::print("| `{}` | {} | {} |\n", row["quant_method"].get<std::string>(), row["layers"].get<std::string>(),
                 row["specification"].get<std::string>());
    }
  }
};

}  // namespace

std::unique_ptr<Command> make_formats() { return std::make_unique<Formats>(); }

}  // namespace nibble::cli
