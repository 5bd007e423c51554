// GGUF Q5_1: a block of 32 weights is an f16 d, an f16 m, a u32 of fifth bits, then 16 bytes of nibbles;
// value = d · code + m.

#include "quant_tensor/formats/gguf_block.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

struct Q5_1Block {
  static constexpr int kBytes = 24;
  static constexpr int kTop = 31;

  static void codes(const std::byte* block, std::uint8_t* codes, float& scale, float& bias) {
    scale = load_f16(block);
    bias = load_f16(block + 2);
    unpack_five_bits(block + 4, codes);
  }

  static void decode(const std::byte* block, float* out) {
    std::uint8_t code[kGgufBlock];
    float d, m;
    codes(block, code, d, m);
    for (int i = 0; i < kGgufBlock; ++i) out[i] = d * static_cast<float>(code[i]) + m;
  }

  static void encode(const float* weights, std::byte* block) {
    const auto [low, high] = range_of(weights);
    const float d = (high - low) / kTop;
    const float inverse = reciprocal_or_zero(d);
    std::uint8_t code[kGgufBlock];
    for (int i = 0; i < kGgufBlock; ++i) code[i] = truncate_code((weights[i] - low) * inverse + 0.5f, kTop);
    store_f16(block, d);
    store_f16(block + 2, low);
    pack_five_bits(code, block + 4);
  }

  static bool assemble(const std::uint8_t* codes, float scale, float bias, std::byte* block) {
    if (!codes_fit(codes, kTop)) return false;
    pack_five_bits(codes, block + 4);
    const bool scale_fits = store_f16(block, scale), bias_fits = store_f16(block + 2, bias);
    return scale_fits && bias_fits;
  }
};

}  // namespace

extern const Format q5_1_format;
constexpr Format q5_1_format = gguf_format<Q5_1Block>("q5_1", 5);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
