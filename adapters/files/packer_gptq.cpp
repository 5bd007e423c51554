// GPTQ (AutoGPTQ, GPTQModel): weight = scale · (code − zero) in groups along the inputs. `qweight` (K·bits/32, N): the
// words of a column, read downwards, are one stream of codes, the lowest bits first. `qzeros` (groups, N·bits/32): a
// stream along N, in the checkpoint format "gptq" of zero − 1, in "gptq_v2" of zero. `scales` (groups, N). `g_idx`
// (K,): the group of each input, of any input where the inputs that matter most were quantized first (desc_act).

#include <fmt/format.h>

#include "adapters/files/sorted_groups.h"
#include "adapters/files/zero_points.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

constexpr std::string_view kGptqParts[] = {"qweight", "qzeros", "scales", "g_idx"};

class Gptq final : public Packer {
 public:
  explicit Gptq(const Reader& config) {
    bits_ = static_cast<int>(config.size("bits"));
    if (bits_ != 2 && bits_ != 3 && bits_ != 4 && bits_ != 8)
      config.unsupported("bits", fmt::format("{} is not supported (2, 3, 4 and 8 are)", bits_));
    group_ = config.integer("group_size").value_or(-1);
    if (group_ != -1 && group_ <= 0) config.bad("group_size", fmt::format("{} is neither -1 nor a size", group_));
    is_symmetric_ = config.boolean("sym").value_or(true);
    const std::string format = config.text("checkpoint_format").value_or("gptq");
    if (format != "gptq" && format != "gptq_v2")
      config.unsupported("checkpoint_format", fmt::format("{} is not supported (gptq and gptq_v2 are)", shown(format)));
    stores_less_one_ = format == "gptq";
    if (const nlohmann::json* dynamic = config.find("dynamic"); dynamic && !dynamic->empty())
      config.unsupported("dynamic", "settings of single modules are not supported");
  }

  std::span<const std::string_view> parts() const override { return kGptqParts; }

  PackedLayer describe(const LayerParts& parts) const override {
    const SafetensorsEntry& codes = required_part(parts, "qweight", DType::i32, 2);
    const std::int64_t words = codes.shape[0], columns = codes.shape[1];
    if (words > kLargestSize || columns > kLargestSize || words * 32 % bits_ != 0 || columns * bits_ % 32 != 0)
      broken_rule(ErrorCode::invalid_file,
                  fmt::format(".qweight {} does not hold codes of {} bits", to_string(codes.shape), bits_));
    const SafetensorsEntry& scales = required_part(parts, "scales");
    const std::int64_t length = words * 32 / bits_;
    PackedLayer layer = describe_zero_points(settings(), columns, length, scales.dtype);
    const std::int64_t groups = group_ == -1 ? 1 : length / group_;
    require_shape("scales", scales, {groups, columns});
    require_shape("qzeros", required_part(parts, "qzeros", DType::i32, 2), {groups, columns * bits_ / 32});
    if (parts.find("g_idx")) {
      require_shape("g_idx", required_part(parts, "g_idx", DType::i32, 1), {length});
      layer.reordered = !groups_are_neighbours(groups_of(parts), group_of(length));
    }
    return layer;
  }

  Components read(const LayerParts& parts) const override {
    const PackedLayer layer = describe(parts);
    Tensor codes = parts.load("qweight");
    std::vector<std::int32_t> order;
    if (layer.reordered) {
      order = sorted_by_group(groups_of(parts), group_of(layer.shape[1]));
      codes = with_inputs_in_order(codes, order, bits_);
    }
    const Tensor zeros = as_words(parts.load("qzeros"));
    const std::vector<float> scales = as_floats(parts.load("scales"));
    const std::int64_t columns = layer.shape[0];
    const auto* words = static_cast<const std::uint32_t*>(zeros.raw_data());
    Components components = zero_point_components(
        settings(), layer, as_words(transpose(codes)),
        [&](std::int64_t row, std::int64_t group) { return scales[static_cast<std::size_t>(group * columns + row)]; },
        [&](std::int64_t row, std::int64_t group) {
          const int stored = stream_number(words + group * (columns * bits_ / 32), row, bits_);
          return stores_less_one_ ? (stored + 1) & ((1 << bits_) - 1) : stored;
        });
    if (!order.empty()) components.emplace_back(kInputOrder, from_data<std::int32_t>(order, {layer.shape[1]}));
    return components;
  }

 private:
  ZeroPointLayer settings() const {
    ZeroPointLayer layer{.bits = bits_, .group = group_, .zero = {}};
    if (is_symmetric_) layer.zero = 1 << (bits_ - 1);
    return layer;
  }

  std::int64_t group_of(std::int64_t length) const { return group_ == -1 ? length : group_; }
  static std::vector<std::int32_t> groups_of(const LayerParts& parts) {
    return parts.load("g_idx").to_vector<std::int32_t>();
  }

  int bits_ = 4;
  std::int64_t group_ = -1;
  bool is_symmetric_ = true, stores_less_one_ = true;
};

std::unique_ptr<const Packer> configure_gptq(const Reader& config) { return std::make_unique<Gptq>(config); }

}  // namespace

extern const PackingMethod gptq_method;
const PackingMethod gptq_method{"gptq",
                                "2, 3, 4 and 8 bits in groups of multiples of 32 or rows, symmetric or not, with "
                                "`desc_act` or without; `checkpoint_format` gptq or gptq_v2",
                                "AutoGPTQ, GPTQModel", configure_gptq};

}  // namespace files
}  // namespace v0
}  // namespace nibble
