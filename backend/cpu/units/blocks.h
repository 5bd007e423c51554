#pragma once

#include "backend/cpu/units/unit.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

/// GGUF blocks of 32 weights: an f16 scale, then an f16 minimum or a fixed zero point, high bits, low bits; the numbers
/// are offsets in bytes, 0 where there is none.
template <int kBytes, int kMinimum, int kZero, int kHigh, int kLow>
struct GgufBlock {
  static constexpr int kHalf = kBytes;  ///< bytes of 32 weights
  static constexpr int minimum = kMinimum, zero = kZero, high = kHigh, low = kLow;
  static const unsigned char* at(const RowBytes& row, std::int64_t k) { return row.component[0] + k / 32 * kBytes; }
};
using Block4_0 = GgufBlock<18, 0, 8, 0, 2>;
using Block4_1 = GgufBlock<20, 2, 0, 0, 4>;
using Block5_0 = GgufBlock<22, 0, 16, 2, 6>;
using Block5_1 = GgufBlock<24, 2, 0, 4, 8>;
using Block8_0 = GgufBlock<34, 0, 128, 0, 2>;

}  // namespace
}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
