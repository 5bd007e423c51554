// A product with few rows of x (few_rows.glsl). What is decoded of w serves all of them, what is read of x all rows of w that a
// workgroup has.
void main() {
  const uvec2 tile = own_tile(pieces(args.n, kRows)), places = own_k();
  const uint first = tile.x * kRows, m0 = tile.y * kM, step = gl_WorkGroupSize.x * 32;
  if (m0 >= args.m) return;
  float sum[kRows][kM];
  for (uint r = 0; r < kRows; ++r) {
    for (uint m = 0; m < kM; ++m) sum[r][m] = 0.0;
  }
  for (uint k = places.x + gl_LocalInvocationIndex * 32; k < places.y; k += step) {
    float w[kRows][32], x[32];
    for (uint r = 0; r < kRows; ++r) decode_32(min(first + r, args.n - 1), k, w[r]);
    for (uint m = 0; m < kM; ++m) {
      read_32_of_x(x_row(m0 + m), k, x);
      for (uint r = 0; r < kRows; ++r) {
        for (uint i = 0; i < 32; ++i) sum[r][m] += w[r][i] * x[i];
      }
    }
  }
  write_sums(sum, first, m0);
}
