#pragma once

#include <cstdint>
#include <functional>

#include "adapters/files/packer.h"

/// Layers whose weights are scale · (code − zero), all of them integers but the scale, as MLX's affine formats: scale ·
/// code + bias with bias = −zero · scale. With scales of f16 or bf16 no product and no sum of these rounds in fp32, so
/// the values are the same to the bit.
namespace nibble {
inline namespace v0 {
namespace files {

struct ZeroPointLayer {
  int bits = 4;
  std::int64_t group = 128;  ///< weights that share a scale; −1: all of a row
  /// The one zero of all groups, which is a power of two: then biases keep the scales' dtype. None: they are f32, and
  /// so are the scales.
  std::optional<int> zero;
  bool takes_f32 = false;  ///< scales of f32 too: a product and a sum of theirs may round in fp32
};

/// Of weights (rows, length). Throws Error with the rule broken.
PackedLayer describe_zero_points(const ZeroPointLayer& layer, std::int64_t rows, std::int64_t length, DType scales);

/// Scales and biases (rows, groups) of the format that describe_zero_points chose. `scale_at` and `zero_at` give those
/// of a row and of a group of the file.
Components zero_point_components(const ZeroPointLayer& layer, const PackedLayer& packed, const Tensor& codes,
                                 const std::function<float(std::int64_t row, std::int64_t group)>& scale_at,
                                 const std::function<int(std::int64_t row, std::int64_t group)>& zero_at);

/// Number i of a stream of so many bits each, the lowest first.
inline int stream_number(const std::uint32_t* words, std::int64_t i, int bits) {
  const std::int64_t at = i * bits, word = at / 32;
  const int shift = static_cast<int>(at % 32);
  std::uint64_t two = words[word];
  if (shift + bits > 32) two |= static_cast<std::uint64_t>(words[word + 1]) << 32;
  return static_cast<int>(two >> shift & ((1u << bits) - 1));
}

/// The same bytes as another dtype and shape of as many.
Tensor same_bytes(const Tensor& tensor, const Shape& shape, DType dtype);
/// The same words under the dtype u32.
Tensor as_words(const Tensor& integers);
/// The numbers of a dense tensor, whatever its dtype, as fp32.
std::vector<float> as_floats(const Tensor& numbers);

/// A part that must be there, and be of that dtype with so many axes. Throws Error(invalid_file).
const SafetensorsEntry& required_part(const LayerParts& parts, std::string_view part);
const SafetensorsEntry& required_part(const LayerParts& parts, std::string_view part, DType dtype, int rank);
void require_shape(std::string_view part, const SafetensorsEntry& entry, const Shape& shape);
[[noreturn]] void broken_rule(ErrorCode code, const std::string& rule);

}  // namespace files
}  // namespace v0
}  // namespace nibble
