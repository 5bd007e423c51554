// Rows of x as numbers of f16, for products of cooperative matrices: a workgroup a row. The largest entry comes to lie between
// 2^14 and 2^15, so that two numbers leave 2^-22 of an entry, or 2^-39 of the largest.
const uint kInfinity = 0x7f800000u;  // its bits
const uint kUnit = kFold < 32 ? 32 : kFold;  // places that an invocation has at a time

/// 2^e, where that is a normal number.
float power_of_two(int e) { return uintBitsToFloat(uint(e + 127) << 23); }

/// The largest magnitude, or infinity where something is not finite.
float largest_of(uint m) {
  float largest = 0.0;
  for (uint k = 32 * gl_LocalInvocationIndex; k < args.k; k += 32 * gl_WorkGroupSize.x) {
    float x[32];
    read_32_of_x(x_row(m), k, x);
    for (uint i = 0; i < 32; ++i) {
      const uint bits = floatBitsToUint(x[i]) & 0x7fffffffu;
      largest = max(largest, uintBitsToFloat(min(bits, kInfinity)));
    }
  }
  return max_together(largest);
}

/// Writes 32 entries, and gives the sums of what stands for them, of each 16.
vec2 write_halves(uint m, uint k, float x[32]) {
  vec2 sum = vec2(0.0);
  for (uint h = 0; h < kHalves; ++h) {
    uint pairs[16];
    for (uint i = 0; i < 32; ++i) {
      const uint half_bits = half_of_float(x[i]);
      const float is = float_of_half(half_bits);
      sum[i / 16] += is;
      x[i] -= is;
      pairs[i / 2] = i % 2 == 0 ? half_bits : pairs[i / 2] | half_bits << 16;
    }
    const uint64_t at = halves_at(m) + uint64_t(h * padded_k() + k) * 2;
    for (uint i = 0; i < 4; ++i) {
      Quad(at + 16 * i).value = uvec4(pairs[4 * i], pairs[4 * i + 1], pairs[4 * i + 2], pairs[4 * i + 3]);
    }
  }
  return sum;
}

void main() {
  const uint m = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
  if (m >= padded_m()) return;
  const bool is_there = m < args.m;
  const float largest = largest_of(m);
  const bool is_plain = is_there && floatBitsToUint(largest) < kInfinity;
  const int exponent = clamp(int(floatBitsToUint(largest) >> 23) - 127 - 14, -126, 126);
  const float power = is_plain ? power_of_two(-exponent) : 0.0, back = power_of_two(exponent);
  for (uint begin = kUnit * gl_LocalInvocationIndex; begin < padded_k(); begin += kUnit * gl_WorkGroupSize.x) {
    vec2 sum = vec2(0.0);
    for (uint k = begin; k < begin + kUnit; k += 32) {
      float x[32];
      for (uint i = 0; i < 32; ++i) x[i] = 0.0;
      if (is_plain && k < args.k) read_32_of_x(x_row(m), k, x);
      for (uint i = 0; i < 32; ++i) x[i] *= power;
      sum += write_halves(m, k, x);
    }
    if (kFold == 16) {
      Word(sums_at(begin) + m * 4).value = floatBitsToUint(sum.x * back);
      Word(sums_at(begin + 16) + m * 4).value = floatBitsToUint(sum.y * back);
    } else {
      Word(sums_at(begin) + m * 4).value = floatBitsToUint((sum.x + sum.y) * back);
    }
  }
  if (gl_LocalInvocationIndex == 0) {
    Word(powers_at() + m * 4).value = is_there && !is_plain ? 0x7fc00000u : floatBitsToUint(back);
  }
}
