// "fp8", as DeepSeek and transformers store it: `weight` F8_E4M3 (N, K), and in `weight_scale_inv` (despite its name) a
// factor for each tile of `weight_block_size`; without such, one for the whole.

#include <fmt/format.h>

#include "adapters/files/scaled_bytes.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

constexpr std::string_view kFp8Parts[] = {"weight_scale_inv", "weight", "input_scale", "activation_scale"};

class Fp8 final : public Packer {
 public:
  explicit Fp8(const Reader& config) {
    const std::string kind = config.text("fmt").value_or("e4m3");
    if (kind != "e4m3") config.unsupported("fmt", fmt::format("{} is not supported (e4m3 is)", shown(kind)));
    layer_.rows = 0;
    if (!config.find("weight_block_size")) return;
    const std::vector<std::int64_t> tile = config.integers("weight_block_size");
    if (tile.size() != 2 || tile[0] <= 0 || tile[1] <= 0)
      config.bad("weight_block_size", "is not the two sizes of a tile");
    layer_.rows = tile[0], layer_.inputs = tile[1];
  }

  std::span<const std::string_view> parts() const override { return kFp8Parts; }
  PackedLayer describe(const LayerParts& parts) const override { return describe_scaled_bytes(layer_, parts); }
  Components read(const LayerParts& parts) const override { return read_scaled_bytes(layer_, parts); }

 private:
  ScaledBytes layer_{.scales = kFp8Parts[0]};
};

std::unique_ptr<const Packer> configure_fp8(const Reader& config) { return std::make_unique<Fp8>(config); }

}  // namespace

extern const PackingMethod fp8_method;
const PackingMethod fp8_method{"fp8", "E4M3 with scales of tiles or matrices", "DeepSeek-V3, transformers",
                               configure_fp8};

}  // namespace files
}  // namespace v0
}  // namespace nibble
