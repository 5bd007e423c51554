// A product with many rows of x (tile.glsl). Tiles of x and of decoded w pass through shared memory, a place along k a line,
// padded so that writes to a column spread over banks.
const uint kPitch = kTile + 1;
shared float x_tile[kTile * kPitch], w_tile[kTile * kPitch];

void load_tiles(uint m0, uint n0, uint k0) {
  for (uint e = gl_LocalInvocationIndex; e < kTile * kTile; e += gl_WorkGroupSize.x) {
    const uint k = e % kTile, m = e / kTile;
    x_tile[k * kPitch + m] = read_x(x_row(m0 + m), k0 + k);
  }
  for (uint n = gl_LocalInvocationIndex; n < kTile; n += gl_WorkGroupSize.x) {
    float w[kTile];
    if (n0 + n < args.n) decode_32(n0 + n, k0, w);
    for (uint k = 0; k < kTile; ++k) w_tile[k * kPitch + n] = n0 + n < args.n ? w[k] : 0.0;
  }
}

void main() {
  const uvec2 tile = own_tile(pieces(args.n, kTile)), places = own_k();
  const uint n0 = tile.x * kTile, m0 = tile.y * kTile;
  if (m0 >= args.m) return;
  const uint column = own_column(), row = own_row();
  float sum[4][4];
  for (uint i = 0; i < 4; ++i) {
    for (uint j = 0; j < 4; ++j) sum[i][j] = 0.0;
  }
  for (uint k0 = places.x; k0 < places.y; k0 += kTile) {
    load_tiles(m0, n0, k0);
    barrier();
    for (uint k = 0; k < kTile; ++k) {
      float x[4], w[4];
      for (uint i = 0; i < 4; ++i) x[i] = x_tile[k * kPitch + row + 8 * i];
      for (uint j = 0; j < 4; ++j) w[j] = w_tile[k * kPitch + column + 8 * j];
      for (uint i = 0; i < 4; ++i) {
        for (uint j = 0; j < 4; ++j) sum[i][j] += x[i] * w[j];
      }
    }
    barrier();
  }
  write_tile(sum, n0, m0);
}
