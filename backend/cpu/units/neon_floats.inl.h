// Vectors of floats of NEON. Included inside a unit's unnamed namespace, after the intrinsics, so that what the unit's
// files share is written once and still has no external linkage.

constexpr int kLanes = 4;  // floats in a vector

struct F {
  float32x4_t v;
};

inline F load_f32(const void* p) { return {vreinterpretq_f32_u8(vld1q_u8(static_cast<const std::uint8_t*>(p)))}; }
inline void store_f32(float* p, F a) { vst1q_f32(p, a.v); }
inline F broadcast(float a) { return {vdupq_n_f32(a)}; }
inline F mul(F a, F b) { return {vmulq_f32(a.v, b.v)}; }
inline F add(F a, F b) { return {vaddq_f32(a.v, b.v)}; }
inline F fma(F a, F b, F c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
inline F round(F a) { return {vrndnq_f32(a.v)}; }
inline float sum(F a) { return vaddvq_f32(a.v); }
/// The sum of each vector's lanes.
inline void sums_of_four(const F (&x)[4], float* out) {
  vst1q_f32(out, vpaddq_f32(vpaddq_f32(x[0].v, x[1].v), vpaddq_f32(x[2].v, x[3].v)));
}

/// Four bytes, as the low ones of eight.
inline uint8x8_t load_four(const void* p) {
  std::uint32_t four;
  __builtin_memcpy(&four, p, sizeof four);
  return vcreate_u8(four);
}
inline F from_bytes(const std::uint8_t* p) { return {vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(load_four(p)))))}; }
/// Of sixteen numbers those that sixteen bytes name, byte by byte of a number.
inline void numbers_of_names(const float* sixteen, const std::uint8_t* names, float* out) {
  uint8x16x4_t bytes = vld4q_u8(reinterpret_cast<const std::uint8_t*>(sixteen));
  const uint8x16_t which = vld1q_u8(names);
  for (uint8x16_t& byte : bytes.val) byte = vqtbl1q_u8(byte, which);
  vst4q_u8(reinterpret_cast<std::uint8_t*>(out), bytes);
}
/// In place of names those of sixteen bytes that they name; of a multiple of 32.
inline void bytes_of_names(const std::uint8_t (&sixteen)[16], std::uint8_t* names, std::int64_t count) {
  const uint8x16_t table = vld1q_u8(sixteen);
  for (std::int64_t i = 0; i < count; i += 16) vst1q_u8(names + i, vqtbl1q_u8(table, vld1q_u8(names + i)));
}

inline float half_to_float(std::uint16_t h) {
  return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h))), 0);
}
inline std::uint16_t float_to_half(float f) {
  return vget_lane_u16(vreinterpret_u16_f16(vcvt_f16_f32(vdupq_n_f32(f))), 0);
}
inline uint8x8_t load_halves(const void* p) { return vld1_u8(static_cast<const std::uint8_t*>(p)); }
inline F load_f16(const void* p) { return {vcvt_f32_f16(vreinterpret_f16_u8(load_halves(p)))}; }
inline void store_f16(std::uint16_t* p, F a) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(a.v))); }
inline F load_bf16(const void* p) {
  return {vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(load_halves(p)), 16))};
}
inline void store_bf16(std::uint16_t* p, F a) {
  const uint32x4_t u = vreinterpretq_u32_f32(a.v);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
  const uint32x4_t even = vaddq_u32(vaddq_u32(u, vdupq_n_u32(0x7fff)), odd);
  const uint32x4_t quiet = vorrq_u32(u, vdupq_n_u32(0x400000));
  vst1_u16(p, vshrn_n_u32(vbslq_u32(vceqq_f32(a.v, a.v), even, quiet), 16));
}

using WordVector = uint32x4_t;
inline WordVector words_of(F a) { return vreinterpretq_u32_f32(a.v); }
inline F floats_of(WordVector a) { return {vreinterpretq_f32_u32(a)}; }
/// In place: row i, column j becomes row j, column i.
inline void transpose_words(WordVector (&r)[4]) {
  const uint32x4x2_t even = vtrnq_u32(r[0], r[1]), odd = vtrnq_u32(r[2], r[3]);
  r[0] = vcombine_u32(vget_low_u32(even.val[0]), vget_low_u32(odd.val[0]));
  r[1] = vcombine_u32(vget_low_u32(even.val[1]), vget_low_u32(odd.val[1]));
  r[2] = vcombine_u32(vget_high_u32(even.val[0]), vget_high_u32(odd.val[0]));
  r[3] = vcombine_u32(vget_high_u32(even.val[1]), vget_high_u32(odd.val[1]));
}
