// The unit for every processor: plain loops over short arrays, which compilers vectorise as far as the baseline goes.
#include "backend/cpu/math.h"
#include "backend/cpu/units/attention.h"
#include "backend/cpu/units/blocks.h"
#include "backend/cpu/units/probe.h"
#include "backend/cpu/units/unit.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

constexpr int kLanes = 8;  // floats in a "vector"

struct F {
  float v[kLanes];
};

template <class Op>
F each_lane(Op op) {
  F r;
  for (int i = 0; i < kLanes; ++i) r.v[i] = op(i);
  return r;
}
F load_f32(const void* p) {
  F r;
  __builtin_memcpy(&r, p, sizeof r);
  return r;
}
void store_f32(float* p, const F& a) {
  for (int i = 0; i < kLanes; ++i) p[i] = a.v[i];
}
F broadcast(float a) {
  return each_lane([=](int) { return a; });
}
/// Of sixteen numbers those that sixteen bytes name.
void numbers_of_names(const float* sixteen, const std::uint8_t* names, float* out) {
  for (int i = 0; i < 16; ++i) out[i] = sixteen[names[i]];
}
void bytes_of_names(const std::uint8_t (&sixteen)[16], std::uint8_t* names, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) names[i] = sixteen[names[i]];
}
F mul(const F& a, const F& b) {
  return each_lane([&](int i) { return a.v[i] * b.v[i]; });
}
F add(const F& a, const F& b) {
  return each_lane([&](int i) { return a.v[i] + b.v[i]; });
}
// Two roundings: without the instruction, a fused multiply-add is a call into the mathematics library.
F fma(const F& a, const F& b, const F& c) {
  return each_lane([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
}
/// For |a| < 2²²: adding 1.5 · 2²³ leaves no place for a fraction.
F round(const F& a) {
  return each_lane([&](int i) { return (a.v[i] + 0x1.8p23f) - 0x1.8p23f; });
}
float sum(const F& a) {
  float total = 0;
  for (const float lane : a.v) total += lane;
  return total;
}
F from_bytes(const std::uint8_t* p) {
  return each_lane([=](int i) { return static_cast<float>(p[i]); });
}

float half_to_float(std::uint16_t h) { return widen_half(h); }
std::uint16_t float_to_half(float f) { return narrow_to_half(f); }

struct Halves {
  std::uint16_t v[kLanes];
};
Halves load_halves(const void* p) {
  Halves h;
  __builtin_memcpy(&h, p, sizeof h);
  return h;
}
F load_f16(const void* p) {
  const Halves h = load_halves(p);
  return each_lane([&](int i) { return half_to_float(h.v[i]); });
}
void store_f16(std::uint16_t* p, const F& a) {
  for (int i = 0; i < kLanes; ++i) p[i] = float_to_half(a.v[i]);
}
F load_bf16(const void* p) {
  const Halves h = load_halves(p);
  return each_lane([&](int i) { return widen_bfloat(h.v[i]); });
}
void store_bf16(std::uint16_t* p, const F& a) {
  for (int i = 0; i < kLanes; ++i) p[i] = narrow_to_bfloat(a.v[i]);
}

/// Eight codes of b bits are b bytes.
template <int kBits, int kCount>
void unpack_bits(const unsigned char* in, std::uint8_t* codes) {
  for (int i = 0; i < kCount; i += 8, in += kBits, codes += 8) {
    std::uint64_t bits = 0;
    for (int j = 0; j < kBits; ++j) bits |= static_cast<std::uint64_t>(in[j]) << 8 * j;
    for (int j = 0; j < 8; ++j) codes[j] = static_cast<std::uint8_t>(bits >> j * kBits & ((1u << kBits) - 1));
  }
}
template <class B>
void unpack_block(const unsigned char* in, std::uint8_t* codes) {
  const unsigned char* low = in + B::low;
  if constexpr (B::zero == 128) {
    for (int i = 0; i < 32; ++i) codes[i] = low[i] ^ 0x80;
    return;
  }
  for (int i = 0; i < 16; ++i) {
    codes[i] = low[i] & 15;
    codes[i + 16] = low[i] >> 4;
  }
  if constexpr (B::high != 0) {
    const unsigned char* high = in + B::high;
    for (int i = 0; i < 32; ++i) codes[i] = static_cast<std::uint8_t>(codes[i] | (high[i / 8] >> i % 8 & 1) << 4);
  }
}

void transpose(const void* in, std::int64_t in_pitch, std::int64_t words, void* out, std::int64_t out_pitch) {
  const auto* from = static_cast<const unsigned char*>(in);
  auto* to = static_cast<unsigned char*>(out);
  for (; words > 0; --words, from += 4, to += out_pitch) {
    for (int i = 0; i < kLanes; ++i) __builtin_memcpy(to + 4 * i, from + i * in_pitch, 4);
  }
}

std::uint32_t max_magnitude(const float* x, int n) {
  std::uint32_t most = 0;
  for (int i = 0; i < n; ++i) {
    const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, x[i]) & 0x7fffffffu;
    most = bits > most ? bits : most;
  }
  return most;
}

/// 16-bit activations; the same integers as the other units make of them.
struct Standard {
  static constexpr int kBytes = 2, kStep = 2;
  static constexpr float kMost = 32512.f;
  static constexpr int kTake = 2, kRun = 64, kTileRows = 1, kCodeBytes = 1, kMostBits = 8;
  struct Total {
    std::int32_t v[kLanes];
  };
  using Sums = Total;
  struct X {
    std::int16_t v[2 * kLanes];
  };
  static std::int32_t round(const float* x, int n, float inverse, unsigned char* q, std::int64_t) {
    auto* out = reinterpret_cast<std::int16_t*>(q);
    std::int32_t total = 0;
    for (int i = 0; i < n; ++i) {  // adding 1.5 · 2^23 rounds to nearest even and leaves the integer in the low bits
      const std::int32_t v = __builtin_bit_cast(std::int32_t, x[i] * inverse + 12582912.f) - 0x4b400000;
      out[i] = static_cast<std::int16_t>(v);
      total += v;
    }
    return total;
  }
  static X load(const unsigned char* x) {
    X r;
    __builtin_memcpy(&r, x, sizeof r);
    return r;
  }
  static const std::uint8_t* broadcast(const std::uint8_t* codes) { return codes; }
  static Total begin(const float* total) {
    Total r;
    __builtin_memcpy(&r, total, sizeof r);
    return r;
  }
  static Sums start(const Total& total) { return total; }
  static void accumulate(Sums& sums, const std::uint8_t* w, const X& x) {
    for (int i = 0; i < kLanes; ++i) sums.v[i] += w[0] * x.v[2 * i] + w[1] * x.v[2 * i + 1];
  }
  static void finish(Total& total, const Sums& sums) { total = sums; }
  static F total(const Total& t) {
    return each_lane([&](int i) { return static_cast<float>(t.v[i]); });
  }
};

#include "backend/cpu/units/generic.inl.h"
#include "backend/cpu/units/integer_tile.inl.h"

}  // namespace

const Unit kScalarUnit = {
    .name = "scalar",
    .lanes = kLanes,
    .decoders = kDecoders<scatter_scales>,
    .decoder_count = kDecoderCount,
    .load = load_floats,
    .store = store_floats,
    .expand = expand,
    .transpose = transpose,
    .functions = kFunctions,
    .standard = scheme<Standard>(),
    .fast = {},
    .floats = &kScalarFloats,
    .few_rows = nullptr,
    .attention = &kScalarAttention,
    .probes = &kScalarProbes,
};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
