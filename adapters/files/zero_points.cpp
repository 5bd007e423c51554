#include "adapters/files/zero_points.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "adapters/files/packed_pieces.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

std::int64_t group_of(const ZeroPointLayer& layer, std::int64_t length) {
  return layer.group == -1 ? length : layer.group;
}

/// The widest group of an affine format of so many bits that divides those of the file.
const FormatInfo* format_for(int bits, std::int64_t group) {
  const FormatInfo* best = nullptr;
  for (const FormatInfo* format : formats_of_mode("affine")) {
    if (format->bits != bits || group % format->group_size != 0) continue;
    if (!best || format->group_size > best->group_size) best = format;
  }
  return best;
}

}  // namespace

void broken_rule(ErrorCode code, const std::string& rule) { throw Error(code, rule); }

const SafetensorsEntry& required_part(const LayerParts& parts, std::string_view part) {
  if (const SafetensorsEntry* entry = parts.find(part)) return *entry;
  broken_rule(ErrorCode::invalid_file, fmt::format("is packed, but its .{} is missing", part));
}

const SafetensorsEntry& required_part(const LayerParts& parts, std::string_view part, DType dtype, int rank) {
  const SafetensorsEntry& entry = required_part(parts, part);
  if (entry.dtype != dtype)
    broken_rule(ErrorCode::invalid_file,
                fmt::format(".{} is {}, not {}", part, safetensors_name(entry.dtype), safetensors_name(dtype)));
  if (entry.shape.rank() != rank)
    broken_rule(ErrorCode::invalid_file, fmt::format(".{} {} has not {} axes", part, to_string(entry.shape), rank));
  return entry;
}

void require_shape(std::string_view part, const SafetensorsEntry& entry, const Shape& shape) {
  if (entry.shape == shape) return;
  broken_rule(ErrorCode::invalid_file,
              fmt::format(".{} is {} where {} belongs", part, to_string(entry.shape), to_string(shape)));
}

Tensor same_bytes(const Tensor& tensor, const Shape& shape, DType dtype) {
  const auto whole = std::make_shared<Tensor>(contiguous(tensor));
  return from_borrowed(whole, whole->raw_data(), shape, dtype);
}

Tensor as_words(const Tensor& integers) { return same_bytes(integers, integers.shape(), DType::u32); }

std::vector<float> as_floats(const Tensor& numbers) { return cast(numbers, DType::f32).to_vector<float>(); }

PackedLayer describe_zero_points(const ZeroPointLayer& layer, std::int64_t rows, std::int64_t length, DType scales) {
  if (!is_arithmetic_float(scales) || (scales == DType::f32 && !layer.takes_f32))
    broken_rule(ErrorCode::unsupported,
                fmt::format("scales are {}; F16 and BF16 are supported", safetensors_name(scales)));
  if (rows == 0 || length == 0) broken_rule(ErrorCode::invalid_file, "has no weights");
  const std::int64_t group = group_of(layer, length);
  if (group <= 0 || length % group != 0)
    broken_rule(ErrorCode::invalid_file, fmt::format("group_size {} does not divide {} weights", group, length));
  const FormatInfo* format = format_for(layer.bits, group);
  if (!format)
    broken_rule(
        ErrorCode::unsupported,
        fmt::format("{} bits with groups of {} are not supported (2, 3, 4 and 8 bits, groups of multiples of 32)",
                    layer.bits, group));
  return {format, {rows, length}, layer.zero ? scales : DType::f32, false};
}

Components zero_point_components(const ZeroPointLayer& layer, const PackedLayer& packed, const Tensor& codes,
                                 const std::function<float(std::int64_t row, std::int64_t group)>& scale_at,
                                 const std::function<int(std::int64_t row, std::int64_t group)>& zero_at) {
  const std::int64_t rows = packed.shape[0], length = packed.shape[1], group = group_of(layer, length),
                     groups = length / group, repeats = group / packed.format->group_size;
  std::vector<float> scales, biases;
  scales.reserve(static_cast<std::size_t>(rows * groups * repeats));
  biases.reserve(scales.capacity());
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t g = 0; g < groups; ++g) {
      const float scale = scale_at(row, g);
      const int zero = zero_at(row, g);
      if (layer.zero && zero != *layer.zero)
        broken_rule(ErrorCode::invalid_file,
                    fmt::format("is said to be symmetric, but a zero point is {} and not {}", zero, *layer.zero));
      scales.insert(scales.end(), static_cast<std::size_t>(repeats), scale);
      biases.insert(biases.end(), static_cast<std::size_t>(repeats), -static_cast<float>(zero) * scale);
    }
  }
  const Shape shape{rows, groups * repeats};
  const Tensor scale = from_data<float>(scales, shape), bias = from_data<float>(biases, shape);
  const Tensor stored = cast(bias, packed.dtype);
  if (layer.zero && as_floats(stored) != biases)
    broken_rule(ErrorCode::unsupported, "a scale is too large for its dtype to hold its multiple by the zero point");
  return {{"codes", codes}, {"scales", cast(scale, packed.dtype)}, {"biases", stored}};
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
