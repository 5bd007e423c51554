// NF4 and NF3 (QLoRA, bitsandbytes): codes name quantiles of a normal distribution, scaled by the largest magnitude of
// each 64 weights, in the weight's own float type; value = scale · number. The points are those of bitsandbytes'
// create_normal_map with its offset of 0.9677083, of 16 values (as its kernels round them) and of eight.
#pragma once

#include "quant_tensor/formats/streams/own_scales.inl.h"

/// The first of the nearest.
template <int kCount>
inline int nearest_number(const float (&table)[kCount], float value) {
  int best = 0;
  float least = __builtin_inff();
  for (int i = 0; i < kCount; ++i) {
    const float miss = __builtin_fabsf(value - table[i]);
    if (miss < least) least = miss, best = i;
  }
  return best;
}

/// bitsandbytes' rule; where all weights are zero, or one is no number, codes are 0 and the scale tells.
template <class Stream>
inline float encode_by_table(const float* w, bool is_finite, unsigned char* stream) {
  const float scale = is_finite ? largest_size(w, Stream::kGroup) : __builtin_nanf("");
  const float inverse = 1 / scale;
  for (int i = 0; i < Stream::kGroup; ++i) {
    const float scaled = w[i] * inverse, inside = scaled > 1 ? 1 : scaled < -1 ? -1 : scaled;
    Stream::put(scale > 0 ? nearest_number(Stream::kTable, inside) : 0, i, stream);
  }
  return scale;
}

struct Nf4 : OwnScales {
  static constexpr const char* kName = "nf4";
  static constexpr const char* kSpecification = "bitsandbytes: functional.get_4bit_type, quantize_4bit";
  static constexpr int kBits = 4, kGroup = 64;
  static constexpr float kTable[16] = {-1.f,
                                       -0.6961928009986877f,
                                       -0.5250730514526367f,
                                       -0.39491748809814453f,
                                       -0.28444138169288635f,
                                       -0.18477343022823334f,
                                       -0.09105003625154495f,
                                       0.f,
                                       0.07958029955625534f,
                                       0.16093020141124725f,
                                       0.24611230194568634f,
                                       0.33791524171829224f,
                                       0.44070982933044434f,
                                       0.5626170039176941f,
                                       0.7229568362236023f,
                                       1.f};

  static constexpr float kUnits = 28775.75f;  ///< that a 1 has: rounded so, no number is 2.5e-5 of itself off

  /// Of two in a byte the first is the high one.
  static int code_at(const unsigned char* stream, std::int64_t i) { return stream[i / 2] >> (4 - i % 2 * 4) & 15; }
  static void put(int code, int i, unsigned char* stream) {
    stream[i / 2] = static_cast<unsigned char>(i % 2 == 0 ? code << 4 : stream[i / 2] | code);
  }
  static float number(const unsigned char* stream, std::int64_t i) { return kTable[code_at(stream, i)]; }
  static void names(const unsigned char* stream, std::int64_t count, std::uint8_t* __restrict names) {
    for (std::int64_t i = 0; i < count / 2; ++i) {
      names[2 * i] = stream[i] >> 4;
      names[2 * i + 1] = stream[i] & 15;
    }
  }
  static constexpr LaneGroups kOrder = {{1, 3, 5, 7, 9, 11, 13, 15, 0, 2, 4, 6, 8, 10, 12, 14}};
  static constexpr LaneGroups kLaneGroups = kPairsOfWords;
  template <class V>
  static void columns(const unsigned char* in, int p, V (&codes)[4]) {
    halves_of_columns(in, p, codes);
  }
  static float encode(const float* w, float, bool is_finite, unsigned char* stream) {
    return encode_by_table<Nf4>(w, is_finite, stream);
  }
};

struct Nf3 : OwnScales, ThreeBits {
  static constexpr const char* kName = "nf3";
  static constexpr const char* kSpecification = "bitsandbytes: functional.create_normal_map, of eight values";
  static constexpr float kTable[8] = {-1.f,
                                      -0.4786292016506195f,
                                      -0.217141792178154f,
                                      0.f,
                                      0.16093020141124725f,
                                      0.33791524171829224f,
                                      0.5626170039176941f,
                                      1.f};
  static constexpr float kUnits = 30280.f;

  static float number(const unsigned char* stream, std::int64_t i) { return kTable[code_at(stream, i)]; }
  static void names(const unsigned char* stream, std::int64_t count, std::uint8_t* __restrict names) {
    ThreeBits::codes(stream, count, names);
  }
  static float encode(const float* w, float, bool is_finite, unsigned char* stream) {
    return encode_by_table<Nf3>(w, is_finite, stream);
  }
};
