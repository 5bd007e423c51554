// The rows of the formats in streams/.

#include "quant_tensor/formats/stream_formats.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "quant_tensor/formats/fit.h"
#include "quant_tensor/formats/scale_io.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

float own_scale(const PackedRow& row, int component, std::int64_t i) {
  return load_scale(row.scale_dtype, row.component[static_cast<std::size_t>(component)], i);
}

#include "quant_tensor/formats/streams/all.inl.h"

enum Component { kCodes, kScales, kGlobal };
template <class Stream>
constexpr ComponentSpec kComponents[] = {{.name = "codes", .dtype = Stream::kInWords ? DType::u32 : DType::u8},
                                         {.name = "scales", .is_scale = Stream::kHasOwnScales, .dtype = DType::u8},
                                         {.name = "global_scale", .dtype = DType::f32, .of_row = true}};

template <class Stream>
constexpr bool has_rule = requires(const float* w, unsigned char* out) {
  Stream::encode(w, 0.f, true, out);
};
/// The codes nearest to multiples of the scale that fits best. Returns that.
template <class Stream>
float encode_by_search(const float* w, bool is_finite, unsigned char* out) {
  constexpr int kZero = Stream::kZero;
  const float scale = is_finite ? fit_around_zero(w, Stream::kGroup, kZero) : std::numeric_limits<float>::quiet_NaN();
  for (int i = 0; i < Stream::kGroup; ++i) {
    const bool has_codes = is_finite && scale != 0;
    Stream::put(has_codes ? static_cast<int>(nearest(w[i] / scale, -kZero, kZero - 1)) + kZero : kZero, i, out);
  }
  return scale;
}
template <class Stream>
auto encode_group(const float* w, float global, bool is_finite, unsigned char* out) {
  if constexpr (has_rule<Stream>) {
    return Stream::encode(w, global, is_finite, out);
  } else {
    return encode_by_search<Stream>(w, is_finite, out);
  }
}

template <class Stream>
constexpr bool has_kind = !Stream::kHasGlobal && requires {
  Stream::kKind;
};

template <class Stream>
struct StreamRow {
  static std::int64_t width(int component, std::int64_t k) {
    return component == kCodes    ? k * Stream::kBits / (Stream::kInWords ? 32 : 8)
           : component == kScales ? k / Stream::kGroup
                                  : 1;
  }

  template <class Row>
  static auto* stream(const Row& row, std::int64_t begin) {
    return row.component[kCodes] + begin * Stream::kBits / 8;
  }
  static const unsigned char* codes_at(const PackedRow& row, std::int64_t begin) {
    return reinterpret_cast<const unsigned char*>(stream(row, begin));
  }

  static void decode(const PackedRow& row, std::int64_t begin, std::int64_t count, float* out) {
    for (std::int64_t at = 0; at < count; at += Stream::kGroup) {
      const float scale = Stream::scale(row, (begin + at) / Stream::kGroup);
      const unsigned char* in = codes_at(row, begin + at);
      for (int i = 0; i < Stream::kGroup; ++i) out[at + i] = scale * Stream::number(in, i);
    }
  }

  static void codes(const PackedRow& row, std::int64_t begin, std::int64_t count, std::uint8_t* codes, float* scales,
                    float* biases) requires has_codes<Stream> {
    Stream::codes(codes_at(row, begin), count, codes);
    for (std::int64_t g = 0; g < count / Stream::kGroup; ++g) {
      scales[g] = Stream::scale(row, begin / Stream::kGroup + g) * Stream::kUnit;
      biases[g] = bias_of<Stream>(scales[g]);
    }
  }

  /// Of two codes in a byte the first one is low.
  static void take(const PackedRow& row, std::int64_t begin, std::int64_t count, std::uint8_t* codes,
                   std::uint8_t* scales) {
    const unsigned char* in = codes_at(row, begin);
    for (std::int64_t i = 0; i < count; ++i) codes[i] = in[i / 2] >> i % 2 * 4 & 15;
    std::memcpy(scales, row.component[kScales] + begin / Stream::kGroup,
                static_cast<std::size_t>(count / Stream::kGroup));
  }
  static void put(const std::uint8_t* codes, const std::uint8_t* scales, std::int64_t k, const MutablePackedRow& row) {
    std::byte* out = stream(row, 0);
    for (std::int64_t i = 0; i < k / 2; ++i) out[i] = static_cast<std::byte>(codes[2 * i] | codes[2 * i + 1] << 4);
    std::memcpy(row.component[kScales], scales, static_cast<std::size_t>(k / Stream::kGroup));
  }

  static void encode(const float* weights, std::int64_t k, const MutablePackedRow& row) {
    const auto are_finite = [](const float* w, std::int64_t count) {
      return std::all_of(w, w + count, [](float v) { return std::isfinite(v); });
    };
    float global = 0;
    if constexpr (Stream::kHasGlobal) {
      for (std::int64_t i = 0; i < k; ++i) {
        if (std::isfinite(weights[i])) global = std::max(global, std::abs(weights[i]));
      }
      global = Stream::global_of(global);
      store_unaligned(row.component[kGlobal], global);
    }
    for (std::int64_t at = 0; at < k; at += Stream::kGroup) {
      auto* out = reinterpret_cast<unsigned char*>(stream(row, at));
      const bool is_finite = are_finite(weights + at, Stream::kGroup);
      const auto scale = encode_group<Stream>(weights + at, global, is_finite, out);
      if constexpr (Stream::kHasOwnScales) {
        store_scale(row.scale_dtype, row.component[kScales], at / Stream::kGroup, scale);
      } else {
        row.component[kScales][at / Stream::kGroup] = static_cast<std::byte>(scale);
      }
    }
  }
};

template <class Stream>
constexpr Family family_of() {
  if (has_names<Stream>) return Family::codebook;
  return has_codes<Stream> && !Stream::kInWords ? Family::affine : Family::minifloat;
}
template <class Stream>
constexpr Format row_of() {
  using Row = StreamRow<Stream>;
  constexpr int kCount = Stream::kHasGlobal ? 3 : 2;
  Format format{.name = Stream::kName,
                .family = family_of<Stream>(),
                .bits = Stream::kBits,
                .group_size = Stream::kGroup,
                .block = Stream::kGroup,
                .components = std::span(kComponents<Stream>).first(kCount),
                .width = Row::width,
                .decode = Row::decode,
                .encode = Row::encode,
                .rule = has_rule<Stream> ? QuantizeRule::own : QuantizeRule::search,
                .bits_per_weight = Stream::kBits + (Stream::kHasOwnScales ? 16.0 : 8.0) / Stream::kGroup,
                .specification = Stream::kSpecification};
  if constexpr (requires { Stream::kMlxMode; }) {
    format.mode = Stream::kMlxMode;
  } else {
    format.mode = Stream::kName, format.mode_version = 1;
  }
  if constexpr (has_codes<Stream>) {
    format.code_bits = Stream::kCodeBits;
    format.codes = Row::codes;
    format.zero = Stream::kZero;
  }
  if constexpr (has_kind<Stream>) format.stored = {Stream::kKind, Row::take, Row::put};
  if constexpr (has_names<Stream>) format.numbers = {Stream::kTable, sizeof Stream::kTable};
  return format;
}

template <class... Stream>
struct Rows {
  static constexpr Format all[] = {row_of<Stream>()...};
};

}  // namespace

std::span<const Format> stream_formats() { return AllStreams<Rows>::all; }

}  // namespace detail
}  // namespace v0
}  // namespace nibble
