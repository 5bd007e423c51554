#include "adapters/files/mlx_packing.h"

#include <fmt/format.h>

#include "adapters/files/file_error.h"
#include "adapters/files/json_events.h"
#include "adapters/files/packed_pieces.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

using nlohmann::json;

/// What mlx.core.quantize takes where a mode is named and nothing else: affine has many widths, the others one.
AffineParams defaults_of(std::string_view mode) {
  const std::vector<const FormatInfo*> formats = formats_of_mode(mode);
  if (mode == "affine" || formats.empty()) return {};
  return {.bits = formats.front()->bits, .group_size = formats.front()->group_size};
}

int small_integer(const json& object, const char* key, int otherwise, const std::filesystem::path& origin,
                  std::string_view path) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return otherwise;
  if (!found->is_number_integer() || *found <= 0 || *found > 1024) {
    bad_file(origin, path, fmt::format("quantization {} {} is not a small whole number", key, shown(found->dump())));
  }
  return found->get<int>();
}

MlxPacking::Layer read_layer(const json& object, const std::filesystem::path& origin, std::string_view path) {
  MlxPacking::Layer layer;
  if (const auto mode = object.find("mode"); mode != object.end() && !mode->is_null()) {
    if (!mode->is_string()) bad_file(origin, path, "quantization mode is not a text");
    layer.mode = mode->get<std::string>();
  }
  layer.version = small_integer(object, "version", 0, origin, path);
  const AffineParams defaults = defaults_of(layer.mode);
  layer.params.bits = small_integer(object, "bits", defaults.bits, origin, path);
  layer.params.group_size = small_integer(object, "group_size", defaults.group_size, origin, path);
  return layer;
}

}  // namespace

const MlxPacking::Layer& MlxPacking::of(std::string_view path) const {
  const auto found = overrides.find(path);
  return found == overrides.end() ? everywhere : found->second;
}

MlxPacking parse_mlx_packing(std::string_view config_json, const std::filesystem::path& origin) {
  MlxPacking packing;
  if (config_json.empty()) return packing;
  const json config = parse_small_json(config_json, origin);
  auto block = config.find("quantization");
  if (block == config.end() || block->is_null()) {
    block = config.find("quantization_config");
    // Others than MLX name their method.
    if (block == config.end() || !block->is_object() || block->contains("quant_method")) return packing;
  }
  if (!block->is_object()) bad_file(origin, "quantization", "is not an object");
  packing.present = true;
  packing.everywhere = read_layer(*block, origin, "quantization");
  for (const auto& [path, value] : block->items()) {
    if (value.is_object()) {
      packing.overrides.emplace(path, read_layer(value, origin, path));
    } else if (value.is_boolean() && !path.starts_with("_")) {
      // `true` means as everywhere.
      MlxPacking::Layer layer = packing.everywhere;
      layer.packed = value.get<bool>();
      packing.overrides.emplace(path, layer);
    }
  }
  return packing;
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
