// MLX's affine packing (ml-explore/mlx, mx.quantize): a row is one little-endian, LSB-first bit stream of codes in u32
// words; each group along it has a scale and a bias in the weight's own float type; value = scale · code + bias.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>

#include "quant_tensor/formats/format.h"
#include "quant_tensor/formats/scale_io.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

constexpr ComponentSpec kTriplet[] = {
    {.name = "codes", .dtype = DType::u32}, {.name = "scales", .is_scale = true}, {.name = "biases", .is_scale = true}};
enum Component { kCodes, kScales, kBiases };

/// Eight codes are `Bits` bytes at every width: the unit in which streams are read and written.
template <int Bits>
void unpack_codes(const std::byte* stream, std::int64_t count, std::uint8_t* codes) {
  for (std::int64_t i = 0; i < count; i += 8, stream += Bits) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, stream, Bits);
    for (int j = 0; j < 8; ++j) codes[i + j] = static_cast<std::uint8_t>((eight >> (j * Bits)) & ((1u << Bits) - 1));
  }
}
/// Each step joins neighbouring fields: bytes to pairs, pairs to fours, fours to eight.
template <int Bits>
void pack_codes(const std::uint8_t* codes, std::int64_t count, std::byte* stream) {
  constexpr int kGap = 8 - Bits;
  for (std::int64_t i = 0; i < count; i += 8, stream += Bits) {
    std::uint64_t eight;
    std::memcpy(&eight, codes + i, 8);
    eight = (eight & 0x00ff00ff00ff00ff) | (eight & 0xff00ff00ff00ff00) >> kGap;
    eight = (eight & 0x0000ffff0000ffff) | (eight & 0xffff0000ffff0000) >> 2 * kGap;
    eight = (eight & 0x00000000ffffffff) | (eight & 0xffffffff00000000) >> 4 * kGap;
    std::memcpy(stream, &eight, Bits);
  }
}

struct GroupScale {
  float scale, bias;
};

/// MLX's choice: the endpoint of larger magnitude is hit exactly, and zero where the grid comes near it. The scale is
/// negative unless that endpoint is the minimum.
template <int Count>
GroupScale choose_scale(const float* weights, float top_code) {
  // Eight running minima and maxima, so that the loop is vector code; which of two zeros they keep does not matter.
  constexpr int kLanes = 8;
  float lows[kLanes], highs[kLanes];
  std::copy_n(weights, kLanes, lows);
  std::copy_n(weights, kLanes, highs);
  std::uint32_t is_nan[kLanes] = {};
  for (int i = 0; i < Count; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      const float w = weights[i + j];
      lows[j] = w < lows[j] ? w : lows[j];
      highs[j] = w > highs[j] ? w : highs[j];
      is_nan[j] |= w != w;
    }
  }
  // MLX skips a NaN and leaves its code undefined; a whole group of NaN says what happened.
  if (std::any_of(is_nan, is_nan + kLanes, [](std::uint32_t nan) { return nan != 0; })) {
    constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
    return {kNaN, kNaN};
  }
  const float low = *std::min_element(lows, lows + kLanes), high = *std::max_element(highs, highs + kLanes);
  const bool from_low = std::abs(low) > std::abs(high);
  const float step = std::max((high - low) / top_code, 1e-7f);
  const float scale = from_low ? step : -step;
  const float edge = from_low ? low : high;
  const float edge_code = std::rint(edge / scale);
  if (edge_code == 0) return {scale, 0};
  return {edge / edge_code, edge};
}

/// rint, then a clamp to [0, top_code], the other way round: the same numbers, and a NaN becomes 0. Adding and
/// subtracting 1.5 · 2^23 rounds to nearest even without a call, so that the loop over a group is vector code.
std::uint8_t nearest_code(float value, float top_code) {
  constexpr float kRound = 0x1.8p23f;
  const float positive = value > 0 ? value : 0;
  const float clamped = positive < top_code ? positive : top_code;
  return static_cast<std::uint8_t>(static_cast<int>((clamped + kRound) - kRound));
}

template <int Bits, int Group>
struct MlxAffine {
  static constexpr int kTopCode = (1 << Bits) - 1;
  static_assert(Group * Bits % 32 == 0, "a group ends on a word, so it is the block that rows are cut at");

  static std::int64_t width(int component, std::int64_t k) { return component == kCodes ? k * Bits / 32 : k / Group; }

  static void codes(const PackedRow& row, std::int64_t begin, std::int64_t count, std::uint8_t* codes, float* scales,
                    float* biases) {
    unpack_codes<Bits>(row.component[kCodes] + begin * Bits / 8, count, codes);
    for (std::int64_t g = 0; g < count / Group; ++g) {
      scales[g] = load_scale(row.scale_dtype, row.component[kScales], begin / Group + g);
      biases[g] = load_scale(row.scale_dtype, row.component[kBiases], begin / Group + g);
    }
  }

  static void decode(const PackedRow& row, std::int64_t begin, std::int64_t count, float* out) {
    for (std::int64_t at = 0; at < count; at += Group) {
      std::uint8_t code[Group];
      float scale, bias;
      codes(row, begin + at, Group, code, &scale, &bias);
      for (int i = 0; i < Group; ++i) out[at + i] = scale * static_cast<float>(code[i]) + bias;
    }
  }

  static void encode(const float* weights, std::int64_t k, const MutablePackedRow& row) {
    for (std::int64_t g = 0; g < k / Group; ++g) {
      const float* w = weights + g * Group;
      const auto [scale, bias] = choose_scale<Group>(w, kTopCode);
      std::uint8_t code[Group];
      // By the scale as computed: rounding it to the storage type comes after.
      for (int i = 0; i < Group; ++i) code[i] = nearest_code((w[i] - bias) / scale, kTopCode);
      pack_codes<Bits>(code, Group, row.component[kCodes] + g * (Group * Bits / 8));
      store_scale(row.scale_dtype, row.component[kScales], g, scale);
      store_scale(row.scale_dtype, row.component[kBiases], g, bias);
    }
  }

  static bool assemble(const std::uint8_t* codes, const float* scales, const float* biases, std::int64_t k,
                       const MutablePackedRow& row) {
    const int all = std::reduce(codes, codes + k, 0, std::bit_or<>());
    if (all > kTopCode) return false;
    pack_codes<Bits>(codes, k, row.component[kCodes]);
    bool exact = true;
    for (std::int64_t g = 0; g < k / Group; ++g) {
      exact = store_scale(row.scale_dtype, row.component[kScales], g, scales[g]) && exact;
      exact = store_scale(row.scale_dtype, row.component[kBiases], g, biases[g]) && exact;
    }
    return exact;
  }
};

template <int Bits, int Group>
constexpr Format mlx_affine(std::string_view name) {
  using Codec = MlxAffine<Bits, Group>;
  return {.name = name,
          .family = Family::affine,
          .bits = Bits,
          .group_size = Group,
          .block = Group,
          .components = kTriplet,
          .width = Codec::width,
          .decode = Codec::decode,
          .encode = Codec::encode,
          .rule = QuantizeRule::mlx_affine,
          .codes = Codec::codes,
          .assemble = Codec::assemble,
          .bits_per_weight = Bits + 32.0 / Group,
          .mode = "affine",
          .specification = "ml-explore/mlx: mx.quantize, mode affine"};
}

}  // namespace

extern const Format mlx_affine_formats[18];
constexpr Format mlx_affine_formats[18] = {
    mlx_affine<2, 32>("affine2-g32"), mlx_affine<2, 64>("affine2-g64"), mlx_affine<2, 128>("affine2-g128"),
    mlx_affine<3, 32>("affine3-g32"), mlx_affine<3, 64>("affine3-g64"), mlx_affine<3, 128>("affine3-g128"),
    mlx_affine<4, 32>("affine4-g32"), mlx_affine<4, 64>("affine4-g64"), mlx_affine<4, 128>("affine4-g128"),
    mlx_affine<5, 32>("affine5-g32"), mlx_affine<5, 64>("affine5-g64"), mlx_affine<5, 128>("affine5-g128"),
    mlx_affine<6, 32>("affine6-g32"), mlx_affine<6, 64>("affine6-g64"), mlx_affine<6, 128>("affine6-g128"),
    mlx_affine<8, 32>("affine8-g32"), mlx_affine<8, 64>("affine8-g64"), mlx_affine<8, 128>("affine8-g128"),
};

}  // namespace detail
}  // namespace v0
}  // namespace nibble
