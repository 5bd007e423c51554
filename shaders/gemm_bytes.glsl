// shaders/gemm.glsl with bytes of x and of w: 16 places along k pass through shared memory at a time as a vector of four words
// for each row.
shared uvec4 x_tile[2][kTile], w_tile[2][kTile];
shared vec2 x_factors[2][kTile], w_factors[2][kTile];

void load_tiles(uint m0, uint n0, uint k0) {
  const uint i = gl_LocalInvocationIndex % kTile;
  if (gl_LocalInvocationIndex < kTile) {
    const uint64_t row = bytes_row(m0 + i);
    const uvec4 factors = Quad(row + padded_k() + k0 / 2).value;
    for (uint h = 0; h < 2; ++h) {
      x_tile[h][i] = Quad(row + k0 + 16 * h).value;
      x_factors[h][i] = uintBitsToFloat(h == 0 ? factors.xy : factors.zw);
    }
  } else {
    const Codes c = signed_codes(min(n0 + i, args.n - 1), k0);
    for (uint h = 0; h < 2; ++h) {
      w_tile[h][i] = uvec4(c.four[4 * h], c.four[4 * h + 1], c.four[4 * h + 2], c.four[4 * h + 3]);
      w_factors[h][i] = vec2(c.scale[h], c.bias[h]);
    }
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
  for (uint k0 = places.x; k0 < places.y; k0 += 32) {
    load_tiles(m0, n0, k0);
    barrier();
    for (uint h = 0; h < 2; ++h) {
      uvec4 w[4];
      vec2 of_w[4];
      for (uint j = 0; j < 4; ++j) {
        w[j] = w_tile[h][column + 8 * j];
        of_w[j] = w_factors[h][column + 8 * j];
      }
      for (uint i = 0; i < 4; ++i) {
        const uvec4 x = x_tile[h][row + 8 * i];
        const vec2 of_x = x_factors[h][row + 8 * i];
        const bool is_marked = floatBitsToUint(of_x.x) == kMark;
        for (uint j = 0; j < 4; ++j) {
          if (is_marked) {
            sum[i][j] += exact_product_of_16(w[j], of_w[j].x, of_w[j].y, m0 + row + 8 * i, k0 + 16 * h);
          } else {
            sum[i][j] += product_of_16(w[j], of_w[j].x, of_w[j].y, x, of_x.x, of_x.y);
          }
        }
      }
    }
    barrier();
  }
  write_tile(sum, n0, m0);
}
