// shaders/gemv.glsl with bytes of x.
void main() {
  const uvec2 tile = own_tile(pieces(args.n, kRows)), places = own_k();
  const uint first = tile.x * kRows, m0 = tile.y * kM, step = gl_WorkGroupSize.x * 32;
  if (m0 >= args.m) return;
  float sum[kRows][kM];
  for (uint r = 0; r < kRows; ++r) {
    for (uint m = 0; m < kM; ++m) sum[r][m] = 0.0;
  }
  for (uint k = places.x + gl_LocalInvocationIndex * 32; k < places.y; k += step) {
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
  write_sums(sum, first, m0);
}
