// The rows of the formats in blocks/: decoding is theirs; encoding, where ggml has no simple rule, is a search for the
// scales that leave the smallest squared error, first of each group, then among the numbers that a block can store.

#include "quant_tensor/formats/block_formats.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <type_traits>

#include "nibble/error.h"
#include "quant_tensor/formats/fit.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

float half_to_float(std::uint16_t bits) {
  float16 half;
  half.bits = bits;
  return static_cast<float>(half);
}

#include "quant_tensor/formats/blocks/all.inl.h"
#include "quant_tensor/formats/streams/small_floats.inl.h"

constexpr ComponentSpec kBlocks[] = {{.name = "blocks", .dtype = DType::u8}};

const unsigned char* bytes_of(const std::byte* p) { return reinterpret_cast<const unsigned char*>(p); }
unsigned char* bytes_of(std::byte* p) { return reinterpret_cast<unsigned char*>(p); }

template <class Block>
constexpr int kGroups = Block::kWeights / Block::kGroup;
template <class Block>
constexpr bool has_grid = requires {
  Block::kGrid;
};
template <class Block>
constexpr bool has_table = requires {
  Block::kTable;
};
/// What a stored code stands for.
template <class Block>
float number_of(std::uint8_t code) {
  if constexpr (has_table<Block>) {
    return Block::kTable[code];
  } else {
    return code;
  }
}

// ---- encoders ------------------------------------------------------------------------------------------------------

/// A number of a block as it is stored, and what then is read.
struct Half {
  explicit Half(float number) : bits(float16(number).bits), value(half_to_float(bits)) {}
  std::uint16_t bits;
  float value;
};

/// number / unit to nearest, within [low, high]; 0 where there is no unit.
int quotient(float number, float unit, int low, int high) {
  return unit == 0 ? 0 : static_cast<int>(nearest(number / unit, static_cast<float>(low), static_cast<float>(high)));
}

/// Codes of a group for scale · code + bias.
template <class Block>
void round_group(const float* x, float scale, float bias, std::uint8_t* codes) {
  const float inverse = scale == 0 ? 0 : 1 / scale;
  for (int i = 0; i < Block::kGroup; ++i) {
    const float number = (x[i] - bias) * inverse;
    if constexpr (has_table<Block>) {
      codes[i] = nearest_of(Block::kTable, number);
    } else {
      codes[i] = static_cast<std::uint8_t>(nearest(number, 0, (1 << Block::kBits) - 1));
    }
  }
}
template <class Block>
double squared_error(const float* x, float scale, float bias, const std::uint8_t* codes) {
  double error = 0;
  for (int i = 0; i < Block::kGroup; ++i) {
    const double miss = static_cast<double>(x[i]) - (scale * number_of<Block>(codes[i]) + bias);
    error += miss * miss;
  }
  return error;
}

/// The best of some candidates for a group: `candidates` gives their scale and bias, and is told which is the best yet.
template <class Block, class Candidates>
void choose(const float* x, std::uint8_t* codes, Candidates&& candidates) {
  double least = std::numeric_limits<double>::infinity();
  candidates([&](float scale, float bias) {
    std::uint8_t tried[Block::kGroup];
    round_group<Block>(x, scale, bias, tried);
    const double error = squared_error<Block>(x, scale, bias, tried);
    if (!(error < least)) return false;
    least = error;
    std::copy_n(tried, Block::kGroup, codes);
    return true;
  });
}

/// Groups with a minimum of their own: d · scale · code − dmin · minimum. `spoiled`: see encode_block.
template <class Block>
void encode_with_minima(const float* x, float spoiled, unsigned char* block) {
  constexpr int kGroup = Block::kGroup, kTop = Block::kTopScale;
  std::array<FitWithMinimum, kGroups<Block>> fits;
  float most_scale = 0, most_minimum = 0;
  for (int g = 0; g < kGroups<Block>; ++g) {
    fits[g] = fit_with_minimum(x + g * kGroup, kGroup, (1 << Block::kBits) - 1);
    most_scale = std::max(most_scale, fits[g].scale), most_minimum = std::max(most_minimum, fits[g].minimum);
  }
  const Half d(most_scale / kTop + spoiled), dmin(most_minimum / kTop);
  std::uint8_t codes[Block::kWeights] = {}, scales[kGroups<Block>] = {}, minima[kGroups<Block>] = {};
  for (int g = 0; g < kGroups<Block>; ++g) {
    const int scale = quotient(fits[g].scale, d.value, 0, kTop);
    const int minimum = quotient(fits[g].minimum, dmin.value, 0, kTop);
    choose<Block>(x + g * kGroup, codes + g * kGroup, [&](auto&& is_best) {
      for (int s = std::max(scale - 1, 0); s <= std::min(scale + 1, kTop); ++s) {
        for (int m = std::max(minimum - 1, 0); m <= std::min(minimum + 1, kTop); ++m) {
          if (!is_best(d.value * static_cast<float>(s), -(dmin.value * static_cast<float>(m)))) continue;
          scales[g] = static_cast<std::uint8_t>(s), minima[g] = static_cast<std::uint8_t>(m);
        }
      }
    });
  }
  Block::pack(codes, scales, minima, d.bits, dmin.bits, block);
}

template <class Block>
float fit(const float* x) {
  if constexpr (has_table<Block>) {
    return fit_to_table(x, Block::kGroup, Block::kTable);
  } else {
    return fit_around_zero(x, Block::kGroup, Block::kZero);
  }
}
/// What takes the place of the zero where a table's numbers have their sign already.
template <class Block>
constexpr float kOrigin = has_table<Block> ? 0.f : static_cast<float>(Block::kZero);

/// Groups around zero: d · scale · number, scales of [−kTopScale, kTopScale − 1].
template <class Block>
void encode_around_zero(const float* x, float spoiled, unsigned char* block) {
  constexpr int kGroup = Block::kGroup, kTop = Block::kTopScale;
  std::array<float, kGroups<Block>> fits;
  float largest = 0;
  for (int g = 0; g < kGroups<Block>; ++g) {
    fits[g] = fit<Block>(x + g * kGroup);
    if (std::abs(fits[g]) > std::abs(largest)) largest = fits[g];
  }
  const Half d(largest / -kTop + spoiled);
  std::uint8_t codes[Block::kWeights] = {};
  std::int8_t scales[kGroups<Block>] = {};
  for (int g = 0; g < kGroups<Block>; ++g) {
    const int scale = quotient(fits[g], d.value, -kTop, kTop - 1);
    choose<Block>(x + g * kGroup, codes + g * kGroup, [&](auto&& is_best) {
      for (int s = std::max(scale - 1, -kTop); s <= std::min(scale + 1, kTop - 1); ++s) {
        const float unit = d.value * static_cast<float>(s);
        if (is_best(unit, unit * -kOrigin<Block>)) scales[g] = static_cast<std::int8_t>(s);
      }
    });
  }
  Block::pack(codes, scales, d.bits, block);
}

/// One group: d · number.
template <class Block>
void encode_one_group(const float* x, float spoiled, unsigned char* block) {
  const Half d(fit<Block>(x) + spoiled);
  std::uint8_t codes[Block::kWeights] = {};
  round_group<Block>(x, d.value, d.value * -kOrigin<Block>, codes);
  Block::pack(codes, nullptr, d.bits, block);
}

/// gguf-py's rule for −d, 0 and d: the largest magnitude is one.
template <class Block>
void encode_ternary(const float* x, float spoiled, unsigned char* block) {
  float d = 0;
  for (int i = 0; i < Block::kWeights; ++i) d = std::max(d, std::abs(x[i]));
  const float inverse = d == 0 ? 0 : 1 / d;
  std::uint8_t codes[Block::kWeights];
  for (int i = 0; i < Block::kWeights; ++i) codes[i] = static_cast<std::uint8_t>(std::round(x[i] * inverse) + 1);
  Block::pack(codes, Half(d + spoiled).bits, block);
}

/// gguf-py's rule: the exponent of the largest weight less that of the largest number; then whichever number is
/// nearest, the first of two. A spoiled block is infinite throughout: ggml's arithmetic has no NaN here.
void encode_mxfp4(const float* x, float spoiled, unsigned char* block) {
  constexpr std::uint8_t kInfinite = 255;
  float most = 0;
  for (int i = 0; i < MXFP4::kWeights; ++i) most = std::max(most, std::abs(x[i]));
  const float exponent = most > 0 ? std::floor(std::log2(most)) - 2 + 127 : 0;
  block[0] = std::isnan(spoiled) ? kInfinite : static_cast<std::uint8_t>(std::max(exponent, 0.f));
  float d;
  MXFP4::scales(block, &d);
  std::uint8_t codes[MXFP4::kWeights];
  for (int i = 0; i < MXFP4::kWeights; ++i) {
    const auto miss = [&](std::int8_t number) { return std::abs(d * static_cast<float>(number) - x[i]); };
    const auto* best = std::min_element(std::begin(kTwiceE2M1), std::end(kTwiceE2M1),
                                        [&](std::int8_t a, std::int8_t b) { return miss(a) < miss(b); });
    codes[i] = std::isnan(spoiled) ? 7 : static_cast<std::uint8_t>(best - kTwiceE2M1);
  }
  pack_nibbles(codes, 16, block + 1);
}

/// Each scale is the one of five around the largest weight / 6 that leaves the smallest error. Nothing here is
/// infinite.
void encode_nvfp4(const float* x, float spoiled, unsigned char* block) {
  constexpr int kGroup = NVFP4::kGroup, kLargest = 126;
  if (std::isnan(spoiled))
    throw Error(ErrorCode::invalid_argument,
                fmt::format("[quantize] {} has no place for weights that are not finite", NVFP4::kName));
  for (int g = 0; g < kGroups<NVFP4>; ++g) {
    const float* w = x + g * kGroup;
    const int first = to_e4m3(largest_size(w, kGroup) / 6);
    double least = std::numeric_limits<double>::infinity();
    for (int byte = std::max(first - 2, 0); byte <= std::min(first + 2, kLargest); ++byte) {
      const float scale = 2 * NVFP4::half_of_e4m3(byte);
      std::uint8_t codes[kGroup];
      double error = 0;
      for (int i = 0; i < kGroup; ++i) {
        codes[i] = to_e2m1(scale > 0 ? w[i] / scale : 0);
        const double miss = static_cast<double>(scale) * kE2M1[codes[i]] - w[i];
        error += miss * miss;
      }
      if (!(error < least)) continue;
      least = error;
      block[g] = static_cast<unsigned char>(byte);
      pack_nibbles(codes, kGroup / 2, block + kGroups<NVFP4> + g * (kGroup / 2));
    }
  }
}

#include "quant_tensor/formats/grid_encoder.inl.h"

enum class Encoder : std::uint8_t { minima, around_zero, one_group, ternary, mxfp4, nvfp4, grid, own };
template <class Block>
constexpr Encoder encoder_of() {
  if (requires { &Block::encode; }) return Encoder::own;
  if (std::is_same_v<Block, MXFP4>) return Encoder::mxfp4;
  if (has_grid<Block>) return Encoder::grid;
  if (std::is_same_v<Block, NVFP4>) return Encoder::nvfp4;
  if (Block::kZero == 1) return Encoder::ternary;
  if (Block::kZero == 0) return Encoder::minima;
  return kGroups<Block> == 1 ? Encoder::one_group : Encoder::around_zero;
}

/// `spoiled` joins the block's scale: 0, or NaN where a weight was not finite.
template <class Block>
void encode_block(const float* x, float spoiled, unsigned char* block) {
  constexpr Encoder kEncoder = encoder_of<Block>();
  if constexpr (kEncoder == Encoder::minima) encode_with_minima<Block>(x, spoiled, block);
  if constexpr (kEncoder == Encoder::around_zero) encode_around_zero<Block>(x, spoiled, block);
  if constexpr (kEncoder == Encoder::one_group) encode_one_group<Block>(x, spoiled, block);
  if constexpr (kEncoder == Encoder::ternary) encode_ternary<Block>(x, spoiled, block);
  if constexpr (kEncoder == Encoder::grid) encode_to_grid<Block>(x, spoiled, block);
  if constexpr (kEncoder == Encoder::own) Block::encode(x, spoiled, block);
  if constexpr (kEncoder == Encoder::mxfp4) encode_mxfp4(x, spoiled, block);
  if constexpr (kEncoder == Encoder::nvfp4) encode_nvfp4(x, spoiled, block);
}
template <class Block>
constexpr QuantizeRule rule_of() {
  const Encoder encoder = encoder_of<Block>();
  const bool searches = encoder != Encoder::own && encoder != Encoder::ternary && encoder != Encoder::mxfp4;
  return searches ? QuantizeRule::search : QuantizeRule::own;
}

// ---- rows ----------------------------------------------------------------------------------------------------------

template <class Block>
struct BlockRow {
  static std::int64_t width(int, std::int64_t k) { return k / Block::kWeights * Block::kBytes; }

  static void codes(const PackedRow& row, std::int64_t begin, std::int64_t count, std::uint8_t* codes, float* scales,
                    float* biases) {
    const unsigned char* block = bytes_of(row.component[0]) + width(0, begin);
    for (std::int64_t i = 0; i < count; i += Block::kWeights, block += Block::kBytes) {
      Block::codes(block, codes + i);
      scales_and_biases<Block>(block, scales + i / Block::kGroup, biases + i / Block::kGroup);
    }
  }

  static void decode(const PackedRow& row, std::int64_t begin, std::int64_t count, float* out) {
    for (std::int64_t at = 0; at < count; at += Block::kWeights) {
      std::uint8_t code[Block::kWeights];
      float scale[kGroups<Block>], bias[kGroups<Block>];
      codes(row, begin + at, Block::kWeights, code, scale, bias);
      for (int i = 0; i < Block::kWeights; ++i) {
        const int g = i / Block::kGroup;
        out[at + i] = Block::kZero != 0 ? scale[g] * static_cast<float>(code[i] - Block::kZero)
                                        : scale[g] * static_cast<float>(code[i]) + bias[g];
      }
    }
  }

  /// A block begins with the bytes of its groups' scales. Of each group, low halves of bytes are its first codes.
  static constexpr int kHalf = Block::kGroup / 2;
  static void take(const PackedRow& row, std::int64_t begin, std::int64_t count, std::uint8_t* codes,
                   std::uint8_t* scales) {
    const unsigned char* block = bytes_of(row.component[0]) + width(0, begin);
    for (std::int64_t at = 0; at < count; at += Block::kWeights, block += Block::kBytes) {
      for (int g = 0; g < kGroups<Block>; ++g) {
        const unsigned char* in = block + kGroups<Block> + g * kHalf;
        std::uint8_t* first = codes + at + g * Block::kGroup;
        for (int i = 0; i < kHalf; ++i) first[i] = in[i] & 15, first[i + kHalf] = in[i] >> 4;
        *scales++ = block[g];
      }
    }
  }
  static void put(const std::uint8_t* codes, const std::uint8_t* scales, std::int64_t k, const MutablePackedRow& row) {
    unsigned char* block = bytes_of(row.component[0]);
    for (std::int64_t at = 0; at < k; at += Block::kWeights, block += Block::kBytes) {
      for (int g = 0; g < kGroups<Block>; ++g) {
        block[g] = *scales++;
        pack_nibbles(codes + at + g * Block::kGroup, kHalf, block + kGroups<Block> + g * kHalf);
      }
    }
  }

  static void encode(const float* weights, std::int64_t k, const MutablePackedRow& row) {
    unsigned char* block = bytes_of(row.component[0]);
    for (std::int64_t i = 0; i < k; i += Block::kWeights, block += Block::kBytes) {
      constexpr float kZeros[Block::kWeights] = {};
      const bool is_finite =
          std::all_of(weights + i, weights + i + Block::kWeights, [](float w) { return std::isfinite(w); });
      if (is_finite) {
        encode_block<Block>(weights + i, 0, block);
      } else {
        encode_block<Block>(kZeros, std::numeric_limits<float>::quiet_NaN(), block);
      }
    }
  }
};

template <class Block>
constexpr Family family_of() {
  if (has_grid<Block>) return Family::grid;
  if (requires { Block::kHasFloats; }) return Family::minifloat;
  return has_table<Block> ? Family::codebook : Family::affine;
}
template <class Block>
constexpr Format::Numbers numbers_of() {
  if constexpr (has_grid<Block>) {
    return {&Block::kGrid.v, sizeof Block::kGrid.v};
  } else if constexpr (has_table<Block>) {
    return {&Block::kTable, sizeof Block::kTable};
  } else {
    return {};
  }
}
template <class Block>
constexpr Format::StoredBytes stored_of() {
  if constexpr (requires { Block::kKind; }) return {Block::kKind, BlockRow<Block>::take, BlockRow<Block>::put};
  return {};
}
template <class Block>
constexpr const char* specification_of() {
  if constexpr (requires { Block::kSpecification; }) return Block::kSpecification;
  return "ggml-org/llama.cpp: gguf-py/gguf/quants.py";
}
template <class Block>
constexpr Format row_of() {
  using Row = BlockRow<Block>;
  return {.name = Block::kName,
          .family = family_of<Block>(),
          .bits = Block::kBits,
          .code_bits = Block::kCodeBits,
          .group_size = Block::kGroup,
          .block = Block::kWeights,
          .components = kBlocks,
          .width = Row::width,
          .decode = Row::decode,
          .encode = Row::encode,
          .rule = rule_of<Block>(),
          .codes = Row::codes,
          .zero = Block::kZero,
          .stored = stored_of<Block>(),
          .numbers = numbers_of<Block>(),
          .bits_per_weight = Block::kBytes * 8.0 / Block::kWeights,
          .ggml_type = Block::kGgmlType,
          .specification = specification_of<Block>()};
}

template <class... Block>
struct Rows {
  static constexpr Format all[] = {row_of<Block>()...};
};

}  // namespace

std::span<const Format> block_formats() { return AllBlocks<Rows>::all; }

}  // namespace detail
}  // namespace v0
}  // namespace nibble
