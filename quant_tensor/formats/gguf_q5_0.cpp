// GGUF Q5_0: a block of 32 weights is an f16 d, a u32 of fifth bits, then 16 bytes of nibbles;
// value = d · (code − 16).

#include "quant_tensor/formats/gguf_block.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

struct Q5_0Block {
  static constexpr int kBytes = 22;
  static constexpr int kZero = 16;  ///< the code that means 0
  static constexpr int kTop = 31;

  static void codes(const std::byte* block, std::uint8_t* codes, float& scale, float& bias) {
    scale = load_f16(block);
    bias = -kZero * scale;
    unpack_five_bits(block + 2, codes);
  }

  static void decode(const std::byte* block, float* out) {
    std::uint8_t code[kGgufBlock];
    float d, bias;
    codes(block, code, d, bias);
    for (int i = 0; i < kGgufBlock; ++i) out[i] = d * static_cast<float>(code[i] - kZero);
  }

  /// The weight of largest magnitude becomes code 0, so d has the other sign.
  static void encode(const float* weights, std::byte* block) {
    const float d = largest_by_magnitude(weights) / -kZero;
    const float inverse = reciprocal_or_zero(d);
    std::uint8_t code[kGgufBlock];
    for (int i = 0; i < kGgufBlock; ++i) code[i] = truncate_code(weights[i] * inverse + (kZero + 0.5f), kTop);
    store_f16(block, d);
    pack_five_bits(code, block + 2);
  }

  static bool assemble(const std::uint8_t* codes, float scale, float bias, std::byte* block) {
    if (!codes_fit(codes, kTop) || !is_implied_bias(bias, scale, kZero)) return false;
    pack_five_bits(codes, block + 2);
    return store_f16(block, scale);
  }
};

}  // namespace

extern const Format q5_0_format;
constexpr Format q5_0_format = gguf_format<Q5_0Block>("q5_0", 5);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
