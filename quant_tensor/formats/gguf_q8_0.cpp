// GGUF Q8_0: a block of 32 weights is an f16 d, then 32 signed bytes; value = d · byte. As an unsigned code, byte +
// 128.

#include "quant_tensor/formats/gguf_block.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

struct Q8_0Block {
  static constexpr int kBytes = 34;
  static constexpr int kZero = 128;  ///< the code that means 0; adding it to a byte, modulo 256, flips the top bit

  static void codes(const std::byte* block, std::uint8_t* codes, float& scale, float& bias) {
    scale = load_f16(block);
    bias = -kZero * scale;
    for (int i = 0; i < kGgufBlock; ++i) codes[i] = std::to_integer<std::uint8_t>(block[2 + i] ^ std::byte{kZero});
  }

  static void decode(const std::byte* block, float* out) {
    std::uint8_t code[kGgufBlock];
    float d, bias;
    codes(block, code, d, bias);
    for (int i = 0; i < kGgufBlock; ++i) out[i] = d * static_cast<float>(code[i] - kZero);
  }

  static void encode(const float* weights, std::byte* block) {
    const float d = std::abs(largest_by_magnitude(weights)) / 127;
    const float inverse = reciprocal_or_zero(d);
    store_f16(block, d);
    for (int i = 0; i < kGgufBlock; ++i) block[2 + i] = signed_byte(std::round(weights[i] * inverse));
  }

  static bool assemble(const std::uint8_t* codes, float scale, float bias, std::byte* block) {
    if (!is_implied_bias(bias, scale, kZero)) return false;
    for (int i = 0; i < kGgufBlock; ++i) block[2 + i] = static_cast<std::byte>(codes[i] ^ kZero);
    return store_f16(block, scale);
  }

 private:
  /// Clamped, a NaN to 0: only weights that are not finite, or far below f16, come to that.
  static std::byte signed_byte(float value) {
    const float clamped = value > 127 ? 127 : value < -127 ? -127 : value == value ? value : 0;
    return static_cast<std::byte>(static_cast<std::int8_t>(clamped));
  }
};

}  // namespace

constexpr Format q8_0() {
  Format format = gguf_format<Q8_0Block>("q8_0", 8, 8);
  format.signed_bytes = true;
  return format;
}

extern const Format q8_0_format;
constexpr Format q8_0_format = q8_0();

}  // namespace detail
}  // namespace v0
}  // namespace nibble
