// shaders/gemv.glsl with bytes of x.
layout(constant_id = 3) const uint kM = 1;     // rows of x
layout(constant_id = 7) const uint kRows = 4;  // rows of w

void main() {
  const uint first = gl_WorkGroupID.x * kRows, m0 = gl_WorkGroupID.y * kM, step = gl_WorkGroupSize.x * 32;
  float sum[kRows][kM];
  for (uint r = 0; r < kRows; ++r) {
    for (uint m = 0; m < kM; ++m) sum[r][m] = 0.0;
  }
  for (uint k = gl_LocalInvocationIndex * 32; k < args.k; k += step) {
    Codes w[kRows];
    for (uint r = 0; r < kRows; ++r) w[r] = signed_codes(min(first + r, args.n - 1), k);
    for (uint m = 0; m < kM; ++m) {
      const uint64_t row = bytes_row(m0 + m);
      const uvec4 factors = Quad(row + padded_k() + k / 2).value;
      for (uint h = 0; h < 2; ++h) {
        const uvec4 x = Quad(row + k + 16 * h).value;
        for (uint r = 0; r < kRows; ++r) {
          const uvec4 codes = uvec4(w[r].four[4 * h], w[r].four[4 * h + 1], w[r].four[4 * h + 2], w[r].four[4 * h + 3]);
          if (factors[2 * h] == kMark) {
            sum[r][m] += exact_product_of_16(codes, w[r].scale[h], w[r].bias[h], m0 + m, k + 16 * h);
          } else {
            sum[r][m] += product_of_16(codes, w[r].scale[h], w[r].bias[h], x, uintBitsToFloat(factors[2 * h]), uintBitsToFloat(factors[2 * h + 1]));
          }
        }
      }
    }
  }
  for (uint r = 0; r < kRows; ++r) {
    for (uint m = 0; m < kM; ++m) {
      const float total = sum_together(sum[r][m]);
      if (gl_LocalInvocationIndex == 0 && first + r < args.n && m0 + m < args.m) write_y(y_row(m0 + m), first + r, total);
    }
  }
}
