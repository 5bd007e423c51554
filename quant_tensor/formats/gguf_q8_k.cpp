// GGUF Q8_K: a block of 256 weights is an f32 d, then 256 signed bytes, then a 16-bit sum of each 16 of them, which
// says nothing more; value = d · byte. ggml rounds activations to it. scale · code + bias would not be exact: d has 24
// bits.

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant_tensor/formats/format.h"
#include "quant_tensor/formats/scale_io.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

constexpr ComponentSpec kBlocks[] = {{.name = "blocks", .dtype = DType::u8}};
constexpr int kWeights = 256, kSummed = 16, kBytes = 4 + kWeights + 2 * kWeights / kSummed;

std::int64_t width(int, std::int64_t k) { return k / kWeights * kBytes; }

void decode(const PackedRow& row, std::int64_t begin, std::int64_t count, float* out) {
  const std::byte* block = row.component[0] + width(0, begin);
  for (std::int64_t at = 0; at < count; at += kWeights, block += kBytes) {
    const auto d = load_unaligned<float>(block);
    for (int i = 0; i < kWeights; ++i) {
      out[at + i] = d * static_cast<float>(std::to_integer<std::int8_t>(block[4 + i]));
    }
  }
}

/// ggml's rule: the weight of largest magnitude, the first of several, becomes −127.
void encode_block(const float* x, std::byte* block) {
  const bool is_finite = std::all_of(x, x + kWeights, [](float w) { return std::isfinite(w); });
  const float* largest = std::max_element(x, x + kWeights, [](float a, float b) { return std::abs(a) < std::abs(b); });
  const float inverse = !is_finite || *largest == 0 ? 0 : -127 / *largest;
  std::int16_t sums[kWeights / kSummed] = {};
  for (int i = 0; i < kWeights; ++i) {
    const float code = is_finite ? std::min(127.f, std::nearbyint(inverse * x[i])) : 0;
    block[4 + i] = static_cast<std::byte>(static_cast<std::int8_t>(code));
    sums[i / kSummed] = static_cast<std::int16_t>(sums[i / kSummed] + static_cast<int>(code));
  }
  store_unaligned(block, !is_finite ? std::numeric_limits<float>::quiet_NaN() : inverse == 0 ? 0 : 1 / inverse);
  std::memcpy(block + 4 + kWeights, sums, sizeof sums);
}

void encode(const float* weights, std::int64_t k, const MutablePackedRow& row) {
  std::byte* block = row.component[0];
  for (std::int64_t i = 0; i < k; i += kWeights, block += kBytes) encode_block(weights + i, block);
}

}  // namespace

extern const Format q8_k_format;
constexpr Format q8_k_format = {.name = "q8_k",
                                .family = Family::affine,
                                .bits = 8,
                                .group_size = kWeights,
                                .block = kWeights,
                                .components = kBlocks,
                                .width = width,
                                .decode = decode,
                                .encode = encode,
                                .bits_per_weight = kBytes * 8.0 / kWeights,
                                .ggml_type = 15,
                                .specification = "ggml-org/llama.cpp: ggml/src/ggml-quants.c"};

}  // namespace detail
}  // namespace v0
}  // namespace nibble
