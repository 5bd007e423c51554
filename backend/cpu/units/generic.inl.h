// The part of a unit that is written once. Included inside the unit's unnamed namespace, after its vectors:
//   kLanes, F and load_*, store_*, broadcast, fma, mul, add, from_bytes, numbers_of_names,
//   bytes_of_names, half_to_float, float_to_half, unpack_bits, unpack_block, and the tile sizes.

#include "backend/cpu/units/elements.inl.h"
#include "backend/cpu/units/functions.inl.h"
#include "quant_tensor/formats/blocks/all.inl.h"

template <class T>
void load_as(const void* in, std::int64_t stride, std::int64_t n, float* out) {
  std::int64_t i = 0;
  if (stride == 1) {
    for (; i + kLanes <= n; i += kLanes) store_f32(out + i, T::load(at<T>(in, i)));
  }
  for (; i < n; ++i) out[i] = T::widen(word<T>(in, i * stride));
}
void load_floats(const void* in, Element element, std::int64_t stride, std::int64_t n, float* out) {
  constexpr void (*table[])(const void*, std::int64_t, std::int64_t, float*) = {load_as<Single>, load_as<Half>,
                                                                                load_as<Bfloat>};
  table[static_cast<int>(element)](in, stride, n, out);
}

inline float own_scale(const RowBytes& row, int component, std::int64_t i) {
  float scale;
  load_floats(row.component[component] + i * (row.scale == Element::f32 ? 4 : 2), row.scale, 1, 1, &scale);
  return scale;
}
#include "quant_tensor/formats/streams/all.inl.h"

template <class T>
bool store_as(const float* in, std::int64_t n, void* out, std::int64_t stride) {
  auto* p = static_cast<typename T::Word*>(out);
  F zeros = broadcast(0.f);  // times a number that is not finite, zero is none
  float zero = 0;
  std::int64_t i = 0;
  if (stride == 1) {
    for (; i + kLanes <= n; i += kLanes) {
      const F v = load_f32(in + i);
      T::store(p + i, v);
      zeros = fma(v, broadcast(0.f), zeros);
    }
  }
  for (; i < n; ++i) {
    p[i * stride] = T::narrow(in[i]);
    zero += in[i] * 0.f;
  }
  return sum(zeros) + zero == 0.f;
}
bool store_floats(const float* in, std::int64_t n, void* out, Element element, std::int64_t stride) {
  constexpr bool (*table[])(const float*, std::int64_t, void*, std::int64_t) = {store_as<Single>, store_as<Half>,
                                                                                store_as<Bfloat>};
  return table[static_cast<int>(element)](in, n, out, stride);
}

void expand(const std::uint8_t* codes, const float* scales, const float* biases, int zero, std::int64_t count,
            std::int64_t group, float* out) {
  const F minus_zero = broadcast(-static_cast<float>(zero));
  for (std::int64_t g = 0; g * group < count; ++g) {
    const F scale = broadcast(scales[g]), bias = broadcast(biases[g]);
    const std::int64_t end = (g + 1) * group < count ? (g + 1) * group : count;
    for (std::int64_t i = g * group; i < end; i += kLanes) {
      const F code = from_bytes(codes + i);
      store_f32(out + i, zero != 0 ? mul(scale, add(code, minus_zero)) : add(mul(scale, code), bias));
    }
  }
}

// ---- decoders ------------------------------------------------------------------------------------------------------

/// Scales or biases of `count` ≤ kLanes groups of `n` rows, a column for each row. A unit may have a faster one.
using TransposeScales = void (*)(const RowBytes* rows, int n, int component, std::int64_t begin, int count,
                                 std::int64_t pitch, float* out);
void scatter_scales(const RowBytes* rows, int n, int component, std::int64_t begin, int count, std::int64_t pitch,
                    float* out) {
  float line[kLanes];
  const int size = rows[0].scale == Element::f32 ? 4 : 2;
  for (int r = 0; r < n; ++r) {
    load_floats(rows[r].component[component] + begin * size, rows[r].scale, 1, count, line);
    for (int g = 0; g < count; ++g) out[g * pitch + r] = line[g];
  }
}

/// MLX triplets: codes, scales, biases.
template <TransposeScales transpose>
void affine_scales(const RowBytes* rows, int n, std::int64_t begin, std::int64_t count, std::int64_t pitch,
                   float* scales, float* biases) {
  const int size = rows[0].scale == Element::f32 ? 4 : 2;
  if (n == 1 && pitch == 1) {
    load_floats(rows[0].component[1] + begin * size, rows[0].scale, 1, count, scales);
    load_floats(rows[0].component[2] + begin * size, rows[0].scale, 1, count, biases);
    return;
  }
  for (std::int64_t g = 0; g < count; g += kLanes) {
    const int few = static_cast<int>(count - g < kLanes ? count - g : kLanes);
    transpose(rows, n, 1, begin + g, few, pitch, scales + g * pitch);
    transpose(rows, n, 2, begin + g, few, pitch, biases + g * pitch);
  }
}

template <int kBits>
void affine_codes(const RowBytes& row, std::int64_t begin, std::int64_t count, std::uint8_t* codes) {
  const unsigned char* in = row.component[0] + begin * kBits / 8;
  for (; count >= 64; count -= 64, in += 8 * kBits, codes += 64) unpack_bits<kBits, 64>(in, codes);
  if (count > 0) unpack_bits<kBits, 32>(in, codes);
}

template <class B>
void block_scales(const RowBytes* rows, int n, std::int64_t begin, std::int64_t count, std::int64_t pitch,
                  float* scales, float* biases) {
  for (int r = 0; r < n; ++r) {
    const unsigned char* p = rows[r].component[0] + begin * B::kHalf;
    for (std::int64_t g = 0; g < count; ++g, p += B::kHalf) {
      const float d = half_to_float(half_bits(p));
      scales[g * pitch + r] = d;
      biases[g * pitch + r] =
          B::minimum != 0 ? half_to_float(half_bits(p + B::minimum)) : d * -static_cast<float>(B::zero);
    }
  }
}

template <class B>
void block_codes(const RowBytes& row, std::int64_t begin, std::int64_t count, std::uint8_t* codes) {
  const unsigned char* p = B::at(row, begin);
  for (std::int64_t i = 0; i < count; i += 32, p += B::kHalf, codes += 32) unpack_block<B>(p, codes);
}

/// Whether a format tells the names of its numbers, of which units look many up at once.
template <class Block>
constexpr bool names_codes = requires(std::uint8_t* names) {
  Block::names(names, names);
};

/// The formats whose blocks are written once for all.
template <class Block>
void codes_of_blocks(const RowBytes& row, std::int64_t begin, std::int64_t count, std::uint8_t* codes) {
  const unsigned char* block = row.component[0] + begin / Block::kWeights * Block::kBytes;
  for (std::int64_t i = 0; i < count; i += Block::kWeights, block += Block::kBytes) {
    if constexpr (names_codes<Block>) {
      Block::names(block, codes + i);
    } else {
      Block::codes(block, codes + i);
    }
  }
  if constexpr (names_codes<Block>) bytes_of_names(kNumbersOf<Block>.v, codes, count);
}
template <class Block>
void scales_of_blocks(const RowBytes* rows, int n, std::int64_t begin, std::int64_t count, std::int64_t pitch,
                      float* scales, float* biases) {
  constexpr int kGroups = Block::kWeights / Block::kGroup;
  for (int r = 0; r < n; ++r) {
    const unsigned char* block = rows[r].component[0] + begin / kGroups * Block::kBytes;
    for (std::int64_t first = 0; first < count; first += kGroups, block += Block::kBytes) {
      float scale[kGroups], bias[kGroups];
      scales_and_biases<Block>(block, scale, bias);
      for (int g = 0; g < kGroups; ++g) {
        scales[(first + g) * pitch + r] = scale[g];
        biases[(first + g) * pitch + r] = bias[g];
      }
    }
  }
}

/// The same of formats whose scales stand beside their codes.
template <class Stream>
void codes_of_stream(const RowBytes& row, std::int64_t begin, std::int64_t count, std::uint8_t* codes) {
  Stream::codes(row.component[0] + begin * Stream::kBits / 8, count, codes);
}
template <class Stream>
void scales_of_stream(const RowBytes* rows, int n, std::int64_t begin, std::int64_t count, std::int64_t pitch,
                      float* scales, float* biases) {
  for (int r = 0; r < n; ++r) {
    for (std::int64_t g = 0; g < count; ++g) {
      const float scale = Stream::scale(rows[r], begin + g) * Stream::kUnit;
      scales[g * pitch + r] = scale;
      biases[g * pitch + r] = bias_of<Stream>(scale);
    }
  }
}
/// The values of all names come first: rounded but once, they are those of scale · number.
template <class Stream>
void values_of_names(const RowBytes& row, std::int64_t begin, std::int64_t count, float* out) {
  constexpr int kNames = sizeof(Stream::kTable) / sizeof(float);
  const unsigned char* stream = row.component[0] + begin * Stream::kBits / 8;
  for (std::int64_t at = 0; at < count; at += Stream::kGroup, stream += Stream::kGroup * Stream::kBits / 8) {
    const float scale = Stream::scale(row, (begin + at) / Stream::kGroup);
    float values[16] = {};
    std::uint8_t names[Stream::kGroup];
    for (int i = 0; i < kNames; ++i) values[i] = scale * Stream::kTable[i];
    Stream::names(stream, Stream::kGroup, names);
    for (int i = 0; i < Stream::kGroup; i += 16) numbers_of_names(values, names + i, out + at + i);
  }
}
template <class Stream>
void values_of_stream(const RowBytes& row, std::int64_t begin, std::int64_t count, float* out) {
  const unsigned char* stream = row.component[0] + begin * Stream::kBits / 8;
  for (std::int64_t at = 0; at < count; at += Stream::kGroup, stream += Stream::kGroup * Stream::kBits / 8) {
    const float scale = Stream::scale(row, (begin + at) / Stream::kGroup);
    for (int i = 0; i < Stream::kGroup; ++i) out[at + i] = scale * Stream::number(stream, i);
  }
}

/// A unit that decodes MLX's formats to floats in one pass names how.
template <int kBits>
struct NoFloats {
  static constexpr decltype(Decoder::floats) run = nullptr;
};
template <TransposeScales transpose, template <int> class Floats, int kBits>
constexpr Decoder affine(const char* name) {
  return {name, affine_codes<kBits>, affine_scales<transpose>, nullptr, Floats<kBits>::run};
}
template <class B>
constexpr Decoder block(const char* name) {
  return {name, block_codes<B>, block_scales<B>};
}
template <class Stream>
constexpr Decoder stream() {
  if constexpr (has_codes<Stream>) {
    return {Stream::kName, codes_of_stream<Stream>, scales_of_stream<Stream>};
  } else if constexpr (has_names<Stream>) {
    return {.format = Stream::kName, .values = values_of_names<Stream>};
  } else {
    return {.format = Stream::kName, .values = values_of_stream<Stream>};
  }
}

template <class...>
struct Types {};
template <TransposeScales transpose, template <int> class Floats, class Blocks, class Streams>
struct Decoders;
/// Of a unit: the formats that it reads in its own way, then those that are written once for all.
template <TransposeScales transpose, template <int> class Floats, class... Blocks, class... Streams>
struct Decoders<transpose, Floats, Types<Blocks...>, Types<Streams...>> {
  static constexpr Decoder all[] = {
      affine<transpose, Floats, 2>("affine2"),
      affine<transpose, Floats, 3>("affine3"),
      affine<transpose, Floats, 4>("affine4"),
      affine<transpose, Floats, 5>("affine5"),
      affine<transpose, Floats, 6>("affine6"),
      affine<transpose, Floats, 8>("affine8"),
      block<Block4_0>("q4_0"),
      block<Block4_1>("q4_1"),
      block<Block5_0>("q5_0"),
      block<Block5_1>("q5_1"),
      block<Block8_0>("q8_0"),
      Decoder{Blocks::kName, codes_of_blocks<Blocks>, scales_of_blocks<Blocks>}...,
      stream<Streams>()...,
  };
};
template <TransposeScales transpose, template <int> class Floats = NoFloats>
constexpr auto& kDecoders = Decoders<transpose, Floats, AllBlocks<Types>, AllStreams<Types>>::all;

constexpr int kDecoderCount = sizeof(kDecoders<scatter_scales>) / sizeof(Decoder);
