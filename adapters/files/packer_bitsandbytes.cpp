// bitsandbytes, 4 bits (NF4, FP4): `weight` (n/2, 1), the bytes of all n codes, of two the first in the high half.
// Beside it, under `weight.`: `absmax`, the scale of each block of codes, rows running on; where scales are quantized
// once more, bytes that name numbers of `nested_quant_map`, times `nested_absmax` of their block, plus an offset.
// `quant_state.…` is the text of an object that says sizes and shape; `quant_map` the numbers that codes name.
// LLM.int8: `weight` I8 (N, K), and in `SCB` the largest magnitude of each row, which 127 stands for. The package
// multiplies by 1/127 last; here scales have it, a rounding of fp32 apart.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "adapters/files/packed_pieces.h"
#include "adapters/files/scaled_bytes.h"
#include "adapters/files/zero_points.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

constexpr std::string_view kBitsandbytesParts[] = {"weight.absmax",
                                                   "weight",
                                                   "weight.quant_map",
                                                   "weight.nested_absmax",
                                                   "weight.nested_quant_map",
                                                   "weight.quant_state.bitsandbytes__nf4",
                                                   "weight.quant_state.bitsandbytes__fp4"};
/// The part that says which numbers a layer's codes name, and nibble's format of these.
struct StateOf {
  std::string_view part, format;
};
constexpr StateOf kStates[] = {{kBitsandbytesParts[5], "nf4"}, {kBitsandbytesParts[6], "bnb_fp4"}};

const StateOf& state_of(const LayerParts& parts) {
  const auto* found = std::ranges::find_if(kStates, [&](const StateOf& state) { return parts.find(state.part); });
  return found == std::end(kStates) ? kStates[0] : *found;
}

/// What `quant_state` says.
struct BlockState {
  Shape shape;
  std::int64_t block = 0, nested_block = 0;
  float nested_offset = 0;
};

std::int64_t size_in(const nlohmann::json& state, const char* key) {
  const auto found = state.find(key);
  if (found == state.end() || !found->is_number_integer() || *found <= 0 || *found > kLargestSize)
    broken_rule(ErrorCode::invalid_file, fmt::format(".weight.quant_state: {} is no size", key));
  return found->get<std::int64_t>();
}

BlockState read_state(const LayerParts& parts) {
  const std::string_view part = state_of(parts).part;
  required_part(parts, part, DType::u8, 1);
  const std::vector<std::uint8_t> text = parts.load(part).to_vector<std::uint8_t>();
  constexpr std::size_t kLongest = 1 << 16;
  const nlohmann::json state = text.size() > kLongest ? nlohmann::json() : nlohmann::json::parse(text, nullptr, false);
  if (!state.is_object()) broken_rule(ErrorCode::invalid_file, fmt::format(".{} is no JSON object", part));
  const nlohmann::json shape = state.value("shape", nlohmann::json());
  if (!shape.is_array() || shape.size() != 2)
    broken_rule(ErrorCode::invalid_file, fmt::format(".{}: shape is not that of a matrix", part));
  BlockState read{.shape = {size_in({{"rows", shape[0]}}, "rows"), size_in({{"columns", shape[1]}}, "columns")},
                  .block = size_in(state, "blocksize")};
  if (!parts.find("weight.nested_absmax")) return read;
  read.nested_block = size_in(state, "nested_blocksize");
  const nlohmann::json offset = state.value("nested_offset", nlohmann::json());
  if (!offset.is_number()) broken_rule(ErrorCode::invalid_file, fmt::format(".{}: nested_offset is missing", part));
  read.nested_offset = static_cast<float>(offset.get<double>());
  return read;
}

std::int64_t blocks_of(std::int64_t count, std::int64_t block) { return (count + block - 1) / block; }

/// The numbers that codes name here, in their order.
std::vector<float> own_numbers(const FormatInfo& format) {
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(format.group_size / 2), 0);
  for (std::size_t i = 0; i < 8; ++i) codes[i] = static_cast<std::uint8_t>(2 * i << 4 | (2 * i + 1));
  const Tensor row = from_components(
      format.name, {{"codes", from_data<std::uint8_t>(codes, {1, format.group_size / 2})}, {"scales", ones({1, 1})}},
      {1, format.group_size});
  std::vector<float> numbers = dequantize(row).to_vector<float>();
  numbers.resize(16);
  return numbers;
}

class NamedNumbers final : public Packer {
 public:
  std::span<const std::string_view> parts() const override { return kBitsandbytesParts; }

  PackedLayer describe(const LayerParts& parts) const override {
    const BlockState state = read_state(parts);
    const FormatInfo& format = *find_format_info(state_of(parts).format);
    if (state.shape[1] % format.group_size != 0 || state.block % format.group_size != 0)
      broken_rule(ErrorCode::unsupported,
                  fmt::format("rows of {} weights in blocks of {} are not supported (multiples of {})", state.shape[1],
                              state.block, format.group_size));
    const std::int64_t count = state.shape.numel(), blocks = blocks_of(count, state.block);
    if (required_part(parts, "weight", DType::u8, 2).shape.numel() * 2 != count)
      broken_rule(ErrorCode::invalid_file, fmt::format(".weight {} does not hold {}",
                                                       to_string(parts.find("weight")->shape), to_string(state.shape)));
    const bool is_nested = state.nested_block > 0;
    require_shape("weight.absmax", required_part(parts, "weight.absmax", is_nested ? DType::u8 : DType::f32, 1),
                  {blocks});
    if (is_nested) {
      require_shape("weight.nested_absmax", required_part(parts, "weight.nested_absmax", DType::f32, 1),
                    {blocks_of(blocks, state.nested_block)});
      require_shape("weight.nested_quant_map", required_part(parts, "weight.nested_quant_map", DType::f32, 1), {256});
    }
    if (parts.find("weight.quant_map")) require_shape("weight.quant_map", *parts.find("weight.quant_map"), {16});
    return {&format, state.shape, DType::f32};
  }

  Components read(const LayerParts& parts) const override {
    const PackedLayer layer = describe(parts);
    if (parts.find("weight.quant_map") && as_floats(parts.load("weight.quant_map")) != own_numbers(*layer.format))
      broken_rule(ErrorCode::unsupported,
                  fmt::format(".weight.quant_map has other numbers than {}", layer.format->name));
    const BlockState state = read_state(parts);
    const std::vector<float> of_blocks = block_scales(state, parts);
    const std::int64_t group = layer.format->group_size, groups = layer.shape.numel() / group;
    std::vector<float> scales;
    scales.reserve(static_cast<std::size_t>(groups));
    for (std::int64_t g = 0; g < groups; ++g)
      scales.push_back(of_blocks[static_cast<std::size_t>(g * group / state.block)]);
    const std::int64_t rows = layer.shape[0], length = layer.shape[1];
    return {{"codes", reshape(contiguous(parts.load("weight")), {rows, length / 2})},
            {"scales", from_data<float>(scales, {rows, length / group})}};
  }

 private:
  static std::vector<float> block_scales(const BlockState& state, const LayerParts& parts) {
    if (state.nested_block == 0) return as_floats(parts.load("weight.absmax"));
    const std::vector<std::uint8_t> codes = parts.load("weight.absmax").to_vector<std::uint8_t>();
    const std::vector<float> numbers = as_floats(parts.load("weight.nested_quant_map")),
                             sizes = as_floats(parts.load("weight.nested_absmax"));
    std::vector<float> scales;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const float size = sizes[i / static_cast<std::size_t>(state.nested_block)];
      scales.push_back(numbers[codes[i]] * size + state.nested_offset);
    }
    return scales;
  }
};

class RowsOfBytes final : public Packer {
 public:
  std::span<const std::string_view> parts() const override { return kParts; }
  PackedLayer describe(const LayerParts& parts) const override {
    required_part(parts, "weight", DType::i8, 2);
    return describe_scaled_bytes(kLayer, parts);
  }
  Components read(const LayerParts& parts) const override {
    // Other arrangements, for some graphics cards alone, have other numbers.
    if (const SafetensorsEntry* order = parts.find("weight_format")) {
      if (order->shape.numel() != 1 || as_floats(parts.load("weight_format")).front() != 0)
        broken_rule(ErrorCode::unsupported, ".weight_format is not 0, by rows, which alone is supported");
    }
    return read_scaled_bytes(kLayer, parts);
  }

 private:
  static constexpr std::string_view kParts[] = {"SCB", "weight", "weight_format"};
  static constexpr ScaledBytes kLayer{.scales = kParts[0], .factor = 1 / 127.f};
};

std::unique_ptr<const Packer> configure_bitsandbytes(const Reader& config) {
  if (config.boolean("load_in_8bit").value_or(false)) return std::make_unique<RowsOfBytes>();
  return std::make_unique<NamedNumbers>();
}

}  // namespace

extern const PackingMethod bitsandbytes_method;
const PackingMethod bitsandbytes_method{
    "bitsandbytes", "NF4, FP4, their scales quantized once more or not; LLM.int8, a rounding of fp32 apart",
    "bitsandbytes: functional", configure_bitsandbytes};

}  // namespace files
}  // namespace v0
}  // namespace nibble
