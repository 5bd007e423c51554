// Products of tiles: a workgroup of 8 × 8 invocations has kTile × kTile of y, each of them 4 × 4, eight apart.
const uint kTile = 32;

uint own_column() { return gl_LocalInvocationIndex % 8; }
uint own_row() { return gl_LocalInvocationIndex / 8; }

void write_tile(float sum[4][4], uint n0, uint m0) {
  for (uint i = 0; i < 4; ++i) {
    const uint64_t y_at = y_row(m0 + own_row() + 8 * i);
    for (uint j = 0; j < 4; ++j) {
      const uint n = n0 + own_column() + 8 * j;
      if (n < args.n && m0 + own_row() + 8 * i < args.m) write_y(y_at, n, sum[i][j]);
    }
  }
}
