#pragma once

#include "adapters/files/packer.h"

/// Layers of which each weight is a byte, FP8 or a signed integer, and scales belong to matrices, rows or tiles.
namespace nibble {
inline namespace v0 {
namespace files {

/// Scale (i, j) is that of rows [i · rows, (i + 1) · rows) and inputs [j · inputs, (j + 1) · inputs).
struct ScaledBytes {
  std::string_view scales;  ///< the part that holds them
  std::int64_t rows = 1;    ///< 0: all of a matrix
  std::int64_t inputs = 0;  ///< 0: all of a row
  float factor = 1;         ///< of all scales, besides
};

/// Its parts are `scales` and "weight". Throws Error with the rule broken.
PackedLayer describe_scaled_bytes(const ScaledBytes& layer, const LayerParts& parts);
Components read_scaled_bytes(const ScaledBytes& layer, const LayerParts& parts);

}  // namespace files
}  // namespace v0
}  // namespace nibble
