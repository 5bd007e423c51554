#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "nibble/quantization.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// mlx-lm's `quantization` block of a config.json. A layer is packed where `<path>.scales` exists; the block says how.
struct MlxPacking {
  struct Layer {
    bool packed = true;  ///< false where the block says `"<path>": false`
    AffineParams params;
    std::string mode = "affine";
    int version = 0;  ///< see FormatInfo::mode_version
    auto operator<=>(const Layer&) const = default;
  };
  bool present = false;
  Layer everywhere;
  std::map<std::string, Layer, std::less<>> overrides;

  const Layer& of(std::string_view path) const;
};

/// From the text of a config.json (empty: no block). A field that an override leaves out falls back to its mode's
/// default, not to the block's. Throws Error(invalid_file).
MlxPacking parse_mlx_packing(std::string_view config_json, const std::filesystem::path& origin);

}  // namespace files
}  // namespace v0
}  // namespace nibble
