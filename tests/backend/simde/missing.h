#pragma once

// The intrinsics of our units that SIMDe 0.8.2 lacks, lane by lane as Intel's guide describes them; and masked loads
// and stores, of which SIMDe touches the lanes that the mask leaves out.

#include <cstdint>
#include <cstring>

namespace {

template <class To, class From>
To same_bytes(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(To));
  return to;
}
template <class T, int count>
struct Lanes {
  T v[count];
};

[[maybe_unused]] __m512i _mm512_cvtepu8_epi32(__m128i a) {
  const auto in = same_bytes<Lanes<std::uint8_t, 16>>(a);
  Lanes<std::int32_t, 16> out;
  for (int i = 0; i < 16; ++i) out.v[i] = in.v[i];
  return same_bytes<__m512i>(out);
}
[[maybe_unused]] __m512i _mm512_cvtepi8_epi32(__m128i a) {
  const auto in = same_bytes<Lanes<std::int8_t, 16>>(a);
  Lanes<std::int32_t, 16> out;
  for (int i = 0; i < 16; ++i) out.v[i] = in.v[i];
  return same_bytes<__m512i>(out);
}
[[maybe_unused]] __m512i _mm512_cvtepu32_epi64(__m256i a) {
  const auto in = same_bytes<Lanes<std::uint32_t, 8>>(a);
  Lanes<std::uint64_t, 8> out;
  for (int i = 0; i < 8; ++i) out.v[i] = in.v[i];
  return same_bytes<__m512i>(out);
}
template <int odd>
__m512 lanes_twice(__m512 a) {
  auto lanes = same_bytes<Lanes<float, 16>>(a);
  for (int i = 0; i < 16; i += 2) lanes.v[i] = lanes.v[i + 1] = lanes.v[i + odd];
  return same_bytes<__m512>(lanes);
}
[[maybe_unused]] __m512 _mm512_moveldup_ps(__m512 a) { return lanes_twice<0>(a); }
[[maybe_unused]] __m512 _mm512_movehdup_ps(__m512 a) { return lanes_twice<1>(a); }
template <class To, class Vector>
Vector truncate_lanes(__m512i a) {
  const auto in = same_bytes<Lanes<std::uint32_t, 16>>(a);
  Lanes<To, 16> out;
  for (int i = 0; i < 16; ++i) out.v[i] = static_cast<To>(in.v[i]);
  return same_bytes<Vector>(out);
}
[[maybe_unused]] __m128i _mm512_cvtepi32_epi8(__m512i a) { return truncate_lanes<std::uint8_t, __m128i>(a); }
[[maybe_unused]] __m256i _mm512_cvtepi32_epi16(__m512i a) { return truncate_lanes<std::uint16_t, __m256i>(a); }
[[maybe_unused]] __m256i _mm512_cvtps_ph(__m512 a, int rounding) {
  (void)rounding;  // to nearest even, the only one in use
  const auto in = same_bytes<Lanes<float, 16>>(a);
  Lanes<std::uint16_t, 16> out;
  for (int i = 0; i < 16; ++i) out.v[i] = simde_float16_as_uint16(simde_float16_from_float32(in.v[i]));
  return same_bytes<__m256i>(out);
}
[[maybe_unused]] __m512bh _mm512_cvtne2ps_pbh(__m512 upper, __m512 lower) {
  const auto high = same_bytes<Lanes<std::uint32_t, 16>>(upper), low = same_bytes<Lanes<std::uint32_t, 16>>(lower);
  const auto rounded = [](std::uint32_t u) {  // to nearest even
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    return static_cast<std::uint16_t>((nan ? u | 0x400000u : u + 0x7fffu + (u >> 16 & 1u)) >> 16);
  };
  Lanes<std::uint16_t, 32> out;
  for (int i = 0; i < 16; ++i) out.v[i] = rounded(low.v[i]), out.v[i + 16] = rounded(high.v[i]);
  return same_bytes<__m512bh>(out);
}
/// Lanes whose mask bit is clear are zero and not touched in memory.
template <class Vector, class T>
Vector load_lanes(std::uint64_t mask, const void* p) {
  constexpr int count = static_cast<int>(sizeof(Vector) / sizeof(T));
  Lanes<T, count> out{};
  for (int i = 0; i < count; ++i) {
    if (mask >> i & 1) std::memcpy(&out.v[i], static_cast<const T*>(p) + i, sizeof(T));
  }
  return same_bytes<Vector>(out);
}
[[maybe_unused]] __m512i _mm512_maskz_loadu_epi8(std::uint64_t mask, const void* p) {
  return load_lanes<__m512i, std::uint8_t>(mask, p);
}
[[maybe_unused]] __m256i _mm256_maskz_loadu_epi8(std::uint32_t mask, const void* p) {
  return load_lanes<__m256i, std::uint8_t>(mask, p);
}
[[maybe_unused]] __m128i _mm_maskz_loadu_epi8(std::uint16_t mask, const void* p) {
  return load_lanes<__m128i, std::uint8_t>(mask, p);
}
[[maybe_unused]] __m512i _mm512_zextsi128_si512(__m128i a) { return _mm512_inserti32x4(_mm512_setzero_si512(), a, 0); }
[[maybe_unused]] __m512i _mm512_zextsi256_si512(__m256i a) { return _mm512_inserti64x4(_mm512_setzero_si512(), a, 0); }
#undef _mm256_maskz_loadu_epi16
[[maybe_unused]] __m256i _mm256_maskz_loadu_epi16(std::uint16_t mask, const void* p) {
  return load_lanes<__m256i, std::uint16_t>(mask, p);
}
#undef _mm512_maskz_loadu_ps
[[maybe_unused]] __m512 _mm512_maskz_loadu_ps(std::uint16_t mask, const void* p) {
  return load_lanes<__m512, float>(mask, p);
}
#undef _mm512_maskz_loadu_epi32
[[maybe_unused]] __m512i _mm512_maskz_loadu_epi32(std::uint16_t mask, const void* p) {
  return load_lanes<__m512i, std::int32_t>(mask, p);
}
#undef _mm512_mask_storeu_epi32
[[maybe_unused]] void _mm512_mask_storeu_epi32(void* p, std::uint16_t mask, __m512i a) {
  const auto in = same_bytes<Lanes<std::int32_t, 16>>(a);
  for (int i = 0; i < 16; ++i) {
    if (mask >> i & 1) std::memcpy(static_cast<std::int32_t*>(p) + i, &in.v[i], sizeof(std::int32_t));
  }
}
[[maybe_unused]] __m256i _mm256_mask_add_epi8(__m256i src, std::uint32_t mask, __m256i a, __m256i b) {
  auto out = same_bytes<Lanes<std::uint8_t, 32>>(src);
  const auto x = same_bytes<Lanes<std::uint8_t, 32>>(a), y = same_bytes<Lanes<std::uint8_t, 32>>(b);
  for (int i = 0; i < 32; ++i) {
    if (mask >> i & 1) out.v[i] = static_cast<std::uint8_t>(x.v[i] + y.v[i]);
  }
  return same_bytes<__m256i>(out);
}

}  // namespace
