// A product across packed rows, y (M, K) = x (M, N) · w (N, K): an invocation has 32 places along them and kM rows of x, and
// passes over all rows of w.
layout(constant_id = 3) const uint kM = 1;

void main() {
  const uvec2 tile = own_tile(pieces(args.k, 32 * gl_WorkGroupSize.x));
  const uint k = (tile.x * gl_WorkGroupSize.x + gl_LocalInvocationIndex) * 32, m0 = tile.y * kM;
  if (k >= args.k || m0 >= args.m) return;
  uint64_t x_at[kM];
  for (uint m = 0; m < kM; ++m) x_at[m] = x_row(m0 + m);
  float sum[kM][32];
  for (uint m = 0; m < kM; ++m) {
    for (uint i = 0; i < 32; ++i) sum[m][i] = 0.0;
  }
  for (uint n = 0; n < args.n; ++n) {
    float w[32];
    decode_32(n, k, w);
    for (uint m = 0; m < kM; ++m) {
      const float x = x_element(x_at[m], n);
      for (uint i = 0; i < 32; ++i) sum[m][i] += x * w[i];
    }
  }
  for (uint m = 0; m < kM; ++m) {
    const uint64_t y_at = y_row(m0 + m);
    for (uint i = 0; i < 32; ++i) {
      if (m0 + m < args.m && k + i < args.k) write_y(y_at, k + i, sum[m][i]);
    }
  }
}
