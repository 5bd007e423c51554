#include "adapters/files/scaled_bytes.h"

#include <fmt/format.h>

#include "adapters/files/packed_pieces.h"
#include "adapters/files/zero_points.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

struct StoredAs {
  DType dtype;
  const char* format;
};
constexpr StoredAs kStoredAs[] = {{DType::f8_e4m3, "fp8_e4m3"}, {DType::f8_e5m2, "fp8_e5m2"}, {DType::i8, "int8"}};

/// Of a size that is not 0.
std::int64_t tiles_of(std::int64_t size, std::int64_t piece) { return piece == 0 ? 1 : (size - 1) / piece + 1; }

}  // namespace

PackedLayer describe_scaled_bytes(const ScaledBytes& layer, const LayerParts& parts) {
  const SafetensorsEntry* weight = parts.find("weight");
  if (!weight) broken_rule(ErrorCode::invalid_file, fmt::format("has .{}, but no .weight", layer.scales));
  const auto* stored = std::ranges::find(kStoredAs, weight->dtype, &StoredAs::dtype);
  if (stored == std::end(kStoredAs))
    broken_rule(ErrorCode::unsupported,
                fmt::format(".weight is {}; F8_E4M3, F8_E5M2 and I8 are supported", safetensors_name(weight->dtype)));
  if (weight->shape.rank() != 2)
    broken_rule(ErrorCode::invalid_file, fmt::format(".weight {} has not 2 axes", to_string(weight->shape)));
  const FormatInfo& format = *find_format_info(stored->format);
  const std::int64_t rows = weight->shape[0], length = weight->shape[1];
  if (rows == 0 || length == 0) broken_rule(ErrorCode::invalid_file, "has no weights");
  if (length % format.group_size != 0 || layer.inputs % format.group_size != 0)
    broken_rule(ErrorCode::unsupported,
                fmt::format("rows of {} weights with scales of {} are not supported (multiples of {})", length,
                            layer.inputs, format.group_size));
  const SafetensorsEntry& scales = *parts.find(layer.scales);
  if (!is_arithmetic_float(scales.dtype))
    broken_rule(ErrorCode::unsupported, fmt::format(".{} is {}; F32, F16 and BF16 are supported", layer.scales,
                                                    safetensors_name(scales.dtype)));
  if (scales.shape.numel() != tiles_of(rows, layer.rows) * tiles_of(length, layer.inputs))
    broken_rule(ErrorCode::invalid_file, fmt::format(".{} {} does not have the scales of {}", layer.scales,
                                                     to_string(scales.shape), to_string(weight->shape)));
  return {&format, weight->shape, scales.dtype};
}

Components read_scaled_bytes(const ScaledBytes& layer, const LayerParts& parts) {
  const PackedLayer packed = describe_scaled_bytes(layer, parts);
  const std::int64_t rows = packed.shape[0], group = packed.format->group_size, groups = packed.shape[1] / group,
                     columns = tiles_of(packed.shape[1], layer.inputs);
  const std::vector<float> stored = as_floats(parts.load(layer.scales));
  std::vector<float> scales;
  scales.reserve(static_cast<std::size_t>(rows * groups));
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t g = 0; g < groups; ++g) {
      const std::int64_t i = layer.rows == 0 ? 0 : row / layer.rows,
                         j = layer.inputs == 0 ? 0 : g * group / layer.inputs;
      scales.push_back(stored[static_cast<std::size_t>(i * columns + j)] * layer.factor);
    }
  }
  const auto weight = std::make_shared<Tensor>(contiguous(parts.load("weight")));
  return {{"codes", from_borrowed(weight, weight->raw_data(), packed.shape, DType::u8)},
          {"scales", cast(from_data<float>(scales, {rows, groups}), packed.dtype)}};
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
