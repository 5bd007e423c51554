#pragma once

#include <filesystem>
#include <memory>

#include "adapters/files/weight_source.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// The constants of an .onnx file, under their own names. What MatMulNBits or DequantizeLinear unpacks is one packed
/// tensor under the name of its codes; where a matrix is packed along its first axis, a transposed one. Throws
/// Error(invalid_file).
std::unique_ptr<WeightSource> open_onnx_weights(const std::filesystem::path& path);

}  // namespace files
}  // namespace v0
}  // namespace nibble
