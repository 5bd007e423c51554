// compressed-tensors, by `format`.
// "pack-quantized": weight = scale · (code − zero), where codes are stored with the offset
// 2^(bits − 1). `weight_packed` (N, K·bits/32): a stream of codes, the lowest bits first; `weight_scale` (N, groups);
// `weight_zero_point` (N·bits/32, groups), packed downwards, where weights are not symmetric; `weight_shape` (2,).
// "float-quantized", "int-quantized": `weight` F8_E4M3 or I8 (N, K), and its `weight_scale`.
// "nvfp4-pack-quantized": `weight_packed` U8 (N, K/2) of E2M1, the first of two low; `weight_scale` F8_E4M3 (N, K/16);
// weight = E2M1 · (scale / `weight_global_scale`).

#include <fmt/format.h>

#include "adapters/files/packed_pieces.h"
#include "adapters/files/scaled_bytes.h"
#include "adapters/files/zero_points.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

using nlohmann::json;

/// What is said of the weights of all layers, and in `config_groups` of how they are packed.
Reader weights_of(const Reader& config, json* kept) {
  const json* groups = config.find("config_groups");
  if (!groups || !groups->is_object() || groups->size() != 1)
    config.unsupported("config_groups", "is not one group, which alone is supported");
  *kept = groups->front().is_object() ? groups->front().value("weights", json()) : json();
  if (!kept->is_object()) config.bad("config_groups", "has no weights");
  return config.inner(*kept, "config_groups.weights");
}

void require_symmetric(const Reader& weights) {
  if (!weights.boolean("symmetric").value_or(true)) weights.unsupported("symmetric", "false is not supported");
}

class PackedIntegers final : public Packer {
 public:
  explicit PackedIntegers(const Reader& weights) { read_weights(weights); }

  std::span<const std::string_view> parts() const override {
    static constexpr std::string_view kParts[] = {"weight_packed", "weight_scale", "weight_zero_point", "weight_shape",
                                                  "weight_g_idx"};
    return kParts;
  }

  PackedLayer describe(const LayerParts& parts) const override {
    const SafetensorsEntry& codes = required_part(parts, "weight_packed", DType::i32, 2);
    const std::int64_t rows = codes.shape[0];
    if (rows > kLargestSize || codes.shape[1] > kLargestSize) broken_rule(ErrorCode::invalid_file, "shape overflows");
    const std::int64_t length = codes.shape[1] * 32 / bits_;
    const SafetensorsEntry& scales = required_part(parts, "weight_scale");
    if (parts.find("weight_g_idx"))
      broken_rule(ErrorCode::unsupported, "has .weight_g_idx: groups of inputs in another order are not supported");
    const PackedLayer layer = describe_zero_points(settings(), rows, length, scales.dtype);
    const std::int64_t groups = group_ == -1 ? 1 : length / group_;
    require_shape("weight_scale", scales, {rows, groups});
    if (!is_symmetric_)
      require_shape("weight_zero_point", required_part(parts, "weight_zero_point", DType::i32, 2),
                    {(rows * bits_ + 31) / 32, groups});
    return layer;
  }

  Components read(const LayerParts& parts) const override {
    const PackedLayer layer = describe(parts);
    require_whole_rows(parts, layer.shape);
    const std::vector<float> scales = as_floats(parts.load("weight_scale"));
    const std::int64_t groups = group_ == -1 ? 1 : layer.shape[1] / group_;
    const Tensor zeros = is_symmetric_ ? Tensor() : as_words(transpose(parts.load("weight_zero_point")));
    return zero_point_components(
        settings(), layer, as_words(parts.load("weight_packed")),
        [&](std::int64_t row, std::int64_t group) { return scales[static_cast<std::size_t>(row * groups + group)]; },
        [&](std::int64_t row, std::int64_t group) {
          if (is_symmetric_) return 1 << (bits_ - 1);
          const auto* words = static_cast<const std::uint32_t*>(zeros.raw_data());
          return stream_number(words + group * zeros.size(1), row, bits_);
        });
  }

 private:
  void read_weights(const Reader& weights) {
    bits_ = static_cast<int>(weights.size("num_bits"));
    if (bits_ < 2 || bits_ > 8 || bits_ == 7)
      weights.unsupported("num_bits", fmt::format("{} is not supported (2, 3, 4, 5, 6 and 8 are)", bits_));
    if (const auto type = weights.text("type").value_or("int"); type != "int")
      weights.unsupported("type", fmt::format("{} is not supported (int is)", shown(type)));
    is_symmetric_ = weights.boolean("symmetric").value_or(true);
    const std::string strategy = weights.text("strategy").value_or("group");
    if (strategy != "group" && strategy != "channel")
      weights.unsupported("strategy", fmt::format("{} is not supported (group and channel are)", shown(strategy)));
    group_ = strategy == "channel" ? -1 : weights.size("group_size");
  }

  ZeroPointLayer settings() const {
    ZeroPointLayer layer{.bits = bits_, .group = group_, .zero = {}};
    if (is_symmetric_) layer.zero = 1 << (bits_ - 1);
    return layer;
  }

  /// Rows may be filled up to whole words.
  static void require_whole_rows(const LayerParts& parts, const Shape& shape) {
    if (!parts.find("weight_shape")) return;
    const auto stored = cast(parts.load("weight_shape"), DType::i64).to_vector<std::int64_t>();
    if (stored.size() != 2 || stored[0] != shape[0] || stored[1] != shape[1])
      broken_rule(ErrorCode::unsupported, fmt::format(".weight_shape is not {}", to_string(shape)));
  }

  int bits_ = 4;
  std::int64_t group_ = -1;
  bool is_symmetric_ = true;
};

class ScaledWeights final : public Packer {
 public:
  explicit ScaledWeights(const Reader& weights) {
    require_symmetric(weights);
    const std::string strategy = weights.text("strategy").value_or("tensor");
    if (strategy == "tensor") {
      layer_.rows = 0;
    } else if (strategy == "group") {
      layer_.inputs = weights.size("group_size");
    } else if (strategy == "block") {
      const std::vector<std::int64_t> tile = weights.integers("block_structure");
      if (tile.size() != 2 || tile[0] <= 0 || tile[1] <= 0)
        weights.bad("block_structure", "is not the two sizes of a tile");
      layer_.rows = tile[0], layer_.inputs = tile[1];
    } else if (strategy != "channel") {
      weights.unsupported("strategy",
                          fmt::format("{} is not supported (tensor, channel, group and block are)", shown(strategy)));
    }
  }

  std::span<const std::string_view> parts() const override {
    static constexpr std::string_view kParts[] = {"weight_scale", "weight", "input_scale", "weight_zero_point",
                                                  "input_zero_point"};
    return kParts;
  }
  PackedLayer describe(const LayerParts& parts) const override { return describe_scaled_bytes(layer_, parts); }
  Components read(const LayerParts& parts) const override { return read_scaled_bytes(layer_, parts); }

 private:
  ScaledBytes layer_{.scales = "weight_scale"};
};

class PackedNvfp4 final : public Packer {
 public:
  explicit PackedNvfp4(const Reader& weights) {
    if (const auto group = weights.integer("group_size").value_or(kGroup); group != kGroup)
      weights.unsupported("group_size", fmt::format("{} is not supported (16 is)", group));
    require_symmetric(weights);
  }

  std::span<const std::string_view> parts() const override {
    static constexpr std::string_view kParts[] = {"weight_packed", "weight_scale", "weight_global_scale",
                                                  "input_global_scale"};
    return kParts;
  }

  PackedLayer describe(const LayerParts& parts) const override {
    const SafetensorsEntry& codes = required_part(parts, "weight_packed", DType::u8, 2);
    const std::int64_t rows = codes.shape[0], length = codes.shape[1] * 2;
    if (codes.shape[1] > kLargestSize || length % kGroup != 0)
      broken_rule(ErrorCode::invalid_file,
                  fmt::format(".weight_packed {} has no whole groups of 16 weights", to_string(codes.shape)));
    require_shape("weight_scale", required_part(parts, "weight_scale", DType::f8_e4m3, 2), {rows, length / kGroup});
    require_shape("weight_global_scale", required_part(parts, "weight_global_scale", DType::f32, 1), {1});
    return {find_format_info("nvfp4_divided"), {rows, length}, DType::f32};
  }

  Components read(const LayerParts& parts) const override {
    const PackedLayer layer = describe(parts);
    const std::int64_t rows = layer.shape[0], length = layer.shape[1];
    return {{"codes", same_bytes(parts.load("weight_packed"), {rows, length / 8}, DType::u32)},
            {"scales", same_bytes(parts.load("weight_scale"), {rows, length / kGroup}, DType::u8)},
            {"global_scale", broadcast_to(reshape(parts.load("weight_global_scale"), {1, 1}), {rows, 1})}};
  }

 private:
  static constexpr std::int64_t kGroup = 16;
};

/// A value of `format`, and what reads such layers.
struct FormatRow {
  std::string_view name;
  std::unique_ptr<const Packer> (*make)(const Reader& weights);
};
template <class Layers>
std::unique_ptr<const Packer> make_layers(const Reader& weights) {
  return std::make_unique<Layers>(weights);
}
constexpr FormatRow kFormats[] = {{"pack-quantized", make_layers<PackedIntegers>},
                                  {"float-quantized", make_layers<ScaledWeights>},
                                  {"int-quantized", make_layers<ScaledWeights>},
                                  {"nvfp4-pack-quantized", make_layers<PackedNvfp4>}};

std::unique_ptr<const Packer> configure_compressed(const Reader& config) {
  const std::string format = config.text("format").value_or("dense");
  std::string known;
  for (const FormatRow& row : kFormats) {
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
    if (row.name != format) continue;
    json kept;
    return row.make(weights_of(config, &kept));
  }
  config.unsupported("format", fmt::format("{} is not supported ({} are)", shown(format), known));
}

}  // namespace

extern const PackingMethod compressed_tensors_method;
const PackingMethod compressed_tensors_method{
    "compressed-tensors",
    "pack-quantized of 2, 3, 4, 5, 6 and 8 bits; float-quantized, int-quantized; nvfp4-pack-quantized",
    "compressed-tensors", configure_compressed};

}  // namespace files
}  // namespace v0
}  // namespace nibble
