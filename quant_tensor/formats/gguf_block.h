#pragma once

#include <cmath>
#include <string_view>

#include "quant_tensor/formats/format.h"
#include "quant_tensor/formats/scale_io.h"

// What GGUF's block formats of 32 weights share (ggml-org/llama.cpp, gguf-py/gguf/quants.py). A row is a sequence of
// blocks, each with its own f16 scale. A format's own file says, in a type with these members, what one block means:
//   kBytes                               its size
//   decode(block, out)                   32 values
//   codes(block, codes, scale, bias)     see Format::codes
//   encode(weights, block)
//   assemble(codes, scale, bias, block)  see Format::assemble

namespace nibble {
inline namespace v0 {
namespace detail {

inline constexpr int kGgufBlock = 32;
inline constexpr ComponentSpec kGgufComponents[] = {{.name = "blocks", .dtype = DType::u8}};

template <class Block>
struct GgufRow {
  static std::int64_t width(int, std::int64_t k) { return k / kGgufBlock * Block::kBytes; }

  static void decode(const PackedRow& row, std::int64_t begin, std::int64_t count, float* out) {
    const std::byte* block = row.component[0] + width(0, begin);
    for (std::int64_t i = 0; i < count; i += kGgufBlock, block += Block::kBytes) Block::decode(block, out + i);
  }

  static void codes(const PackedRow& row, std::int64_t begin, std::int64_t count, std::uint8_t* codes, float* scales,
                    float* biases) {
    const std::byte* block = row.component[0] + width(0, begin);
    for (std::int64_t i = 0; i < count; i += kGgufBlock, block += Block::kBytes) {
      Block::codes(block, codes + i, *scales++, *biases++);
    }
  }

  static void encode(const float* weights, std::int64_t k, const MutablePackedRow& row) {
    std::byte* block = row.component[0];
    for (std::int64_t i = 0; i < k; i += kGgufBlock, block += Block::kBytes) Block::encode(weights + i, block);
  }

  static bool assemble(const std::uint8_t* codes, const float* scales, const float* biases, std::int64_t k,
                       const MutablePackedRow& row) {
    std::byte* block = row.component[0];
    for (std::int64_t i = 0; i < k; i += kGgufBlock, block += Block::kBytes) {
      if (!Block::assemble(codes + i, *scales++, *biases++, block)) return false;
    }
    return true;
  }
};

/// The code that means 0 of blocks without a minimum.
template <class Block>
constexpr int zero_of() {
  if constexpr (requires { Block::kZero; }) return Block::kZero;
  return 0;
}

template <class Block>
constexpr Format gguf_format(std::string_view name, int bits, std::uint32_t ggml_type) {
  using Row = GgufRow<Block>;
  return {.name = name,
          .family = Family::affine,
          .bits = bits,
          .group_size = kGgufBlock,
          .block = kGgufBlock,
          .components = kGgufComponents,
          .width = Row::width,
          .decode = Row::decode,
          .encode = Row::encode,
          .codes = Row::codes,
          .zero = zero_of<Block>(),
          .assemble = Row::assemble,
          .bits_per_weight = Block::kBytes * 8.0 / kGgufBlock,
          .ggml_type = ggml_type,
          .specification = "ggml-org/llama.cpp: gguf-py/gguf/quants.py"};
}

inline float load_f16(const std::byte* p) { return load_scale(DType::f16, p, 0); }
/// Rounds; true if nothing was lost.
inline bool store_f16(std::byte* p, float value) { return store_scale(DType::f16, p, 0, value); }

/// The 16 bytes of low nibbles: byte j holds weights j (low) and j + 16 (high).
inline void unpack_nibbles(const std::byte* bytes, std::uint8_t* codes) {
  for (int j = 0; j < 16; ++j) {
    codes[j] = std::to_integer<std::uint8_t>(bytes[j] & std::byte{15});
    codes[j + 16] = std::to_integer<std::uint8_t>(bytes[j] >> 4);
  }
}
/// Takes the low four bits of each code.
inline void pack_nibbles(const std::uint8_t* codes, std::byte* bytes) {
  for (int j = 0; j < 16; ++j) bytes[j] = static_cast<std::byte>((codes[j] & 15) | ((codes[j + 16] & 15) << 4));
}

/// How the codes of a block lie in memory.
struct FourBits {
  static constexpr int kBits = 4, kBytes = 16;
  static void unpack(const std::byte* bytes, std::uint8_t* codes) { unpack_nibbles(bytes, codes); }
  static void pack(const std::uint8_t* codes, std::byte* bytes) { pack_nibbles(codes, bytes); }
};
/// A u32 of fifth bits, bit i for weight i, then the nibbles.
struct FiveBits {
  static constexpr int kBits = 5, kBytes = 20;
  static void unpack(const std::byte* bytes, std::uint8_t* codes) {
    const auto fifth = load_unaligned<std::uint32_t>(bytes);
    unpack_nibbles(bytes + 4, codes);
    for (int i = 0; i < kGgufBlock; ++i) codes[i] = static_cast<std::uint8_t>(codes[i] | ((fifth >> i) & 1) << 4);
  }
  static void pack(const std::uint8_t* codes, std::byte* bytes) {
    std::uint32_t fifth = 0;
    for (int i = 0; i < kGgufBlock; ++i) fifth |= std::uint32_t{codes[i] >> 4 & 1u} << i;
    store_unaligned(bytes, fifth);
    pack_nibbles(codes, bytes + 4);
  }
};

/// Truncated to an integer in [0, top]; a NaN gives 0.
inline std::uint8_t truncate_code(float code, int top) {
  if (!(code > 0)) return 0;
  return code < static_cast<float>(top) ? static_cast<std::uint8_t>(code) : static_cast<std::uint8_t>(top);
}

inline bool codes_fit(const std::uint8_t* codes, int top) {
  for (int i = 0; i < kGgufBlock; ++i) {
    if (codes[i] > top) return false;
  }
  return true;
}

/// The weight of largest magnitude, sign kept, the first of several; a NaN wins.
inline float largest_by_magnitude(const float* weights) {
  float largest = weights[0];
  for (int i = 1; i < kGgufBlock && !std::isnan(largest); ++i) {
    if (std::isnan(weights[i]) || std::abs(weights[i]) > std::abs(largest)) largest = weights[i];
  }
  return largest;
}

struct Range {
  float low, high;
};
/// Smallest and largest weight; both NaN if any is.
inline Range range_of(const float* weights) {
  Range range{weights[0], weights[0]};
  for (int i = 0; i < kGgufBlock; ++i) {
    if (std::isnan(weights[i])) return {weights[i], weights[i]};
    if (weights[i] < range.low) range.low = weights[i];
    if (weights[i] > range.high) range.high = weights[i];
  }
  return range;
}

inline float reciprocal_or_zero(float d) { return d == 0 ? 0 : 1 / d; }

/// Whether `bias` is the one that a symmetric format implies. The product is exact: it scales an f16 by a power of two.
inline bool is_implied_bias(float bias, float scale, float zero_code) {
  return bias == -zero_code * scale || (std::isnan(bias) && std::isnan(scale));
}

/// An f16 d, then the codes; value = d · (code − kZero), kZero half of the range.
template <class Codes>
struct SymmetricBlock {
  static constexpr int kBytes = 2 + Codes::kBytes;
  static constexpr int kZero = 1 << (Codes::kBits - 1);  ///< the code that means 0
  static constexpr int kTop = (1 << Codes::kBits) - 1;

  static void codes(const std::byte* block, std::uint8_t* codes, float& scale, float& bias) {
    scale = load_f16(block);
    bias = -kZero * scale;
    Codes::unpack(block + 2, codes);
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
    Codes::pack(code, block + 2);
  }

  static bool assemble(const std::uint8_t* codes, float scale, float bias, std::byte* block) {
    if (!codes_fit(codes, kTop) || !is_implied_bias(bias, scale, kZero)) return false;
    Codes::pack(codes, block + 2);
    return store_f16(block, scale);
  }
};

/// An f16 d, an f16 m, then the codes; value = d · code + m.
template <class Codes>
struct OffsetBlock {
  static constexpr int kBytes = 4 + Codes::kBytes;
  static constexpr int kTop = (1 << Codes::kBits) - 1;

  static void codes(const std::byte* block, std::uint8_t* codes, float& scale, float& bias) {
    scale = load_f16(block);
    bias = load_f16(block + 2);
    Codes::unpack(block + 4, codes);
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
    Codes::pack(code, block + 4);
  }

  static bool assemble(const std::uint8_t* codes, float scale, float bias, std::byte* block) {
    if (!codes_fit(codes, kTop)) return false;
    Codes::pack(codes, block + 4);
    const bool scale_fits = store_f16(block, scale), bias_fits = store_f16(block + 2, bias);
    return scale_fits && bias_fits;
  }
};

}  // namespace detail
}  // namespace v0
}  // namespace nibble
