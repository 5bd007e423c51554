#pragma once

#include <cstdint>
#include <vector>

#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// One of the dims / 2 pairs that rope turns.
struct RopePair {
  double divisor;   ///< what the scaling divides the plain frequency, theta^(−2i / dims), by
  float frequency;  ///< angle per position
};
std::vector<RopePair> rope_pairs(std::int64_t dims, double theta, const RopeScaling& scaling);
/// By what cos and sin are multiplied.
float rope_scale(const RopeScaling& scaling);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
