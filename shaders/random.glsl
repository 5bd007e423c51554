// Operand 0, contiguous, becomes random numbers, four an invocation: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011),
// whose words depend on seed and place alone.
layout(constant_id = 1) const uint kOut = 0;
layout(constant_id = 2) const bool kNormal = false;

uvec4 philox(uvec4 counter, uvec2 key) {
  for (int round = 0; round < 10; ++round) {
    uvec2 a, b;  // high word, low word
    umulExtended(0xd2511f53u, counter.x, a.x, a.y);
    umulExtended(0xcd9e8d57u, counter.z, b.x, b.y);
    counter = uvec4(b.x ^ counter.y ^ key.x, b.y, a.x ^ counter.w ^ key.y, a.y);
    key += uvec2(0x9e3779b9u, 0xbb67ae85u);
  }
  return counter;
}

/// 24 bits as a number in [0, 1).
float unit(uint word) { return float(word >> 8) * 5.9604644775390625e-8; }
/// Two normal numbers (Box and Muller, 1958).
vec2 normal_pair(uint first, uint second) {
  const float radius = sqrt(-2.0 * log_of(1.0 - unit(first)));
  return radius * cos_sin_of_turns(uint64_t(second >> 8) << 40);
}

void main() {
  const uint64_t count = packUint2x32(walk.extra.zw);
  const uint64_t i = uint64_t(workgroup()) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
  if (4 * i >= count) return;
  const uvec4 words = philox(uvec4(unpackUint2x32(i), 0, 0), walk.extra.xy);
  float number[4];
  if (kNormal) {
    const vec2 a = normal_pair(words.x, words.y), b = normal_pair(words.z, words.w);
    number = float[](a.x, a.y, b.x, b.y);
  } else {
    number = float[](unit(words.x), unit(words.y), unit(words.z), unit(words.w));
  }
  const vec2 start = uintBitsToFloat(unpackUint2x32(walk.address[1])), scale = uintBitsToFloat(unpackUint2x32(walk.address[2]));
  const vec2 bounds = uintBitsToFloat(unpackUint2x32(walk.address[3]));  // the end, which sums may round up to; what is put there
  for (uint j = 0; j < 4 && 4 * i + j < count; ++j) {
    float x = plus(start, times(scale, number[j])).x;
    if (kOut == kF16) x = float_of_half(half_of_float(x));
    if (kOut == kBf16) x = uintBitsToFloat(bf16_of_float(x) << 16);
    if (!kNormal && x >= bounds.x) x = bounds.y;
    store_float(kOut, walk.address[0] + (4 * i + j) * item_size(kOut), x);
  }
}
