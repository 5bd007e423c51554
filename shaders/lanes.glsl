// A product with many rows of x where the processor plays the device, whose lanes read one another's registers sooner than
// memory: a workgroup, one subgroup, has kRows rows of w a lane and kM rows of x. A row of x is read by all lanes, four
// places each, and handed round.
#extension GL_KHR_shader_subgroup_shuffle : require

layout(constant_id = 3) const uint kM = 16;
layout(constant_id = 7) const uint kRows = 4;

void main() {
  const uint lanes = gl_WorkGroupSize.x, lane = gl_LocalInvocationIndex, part = min(4 * lanes, 32);
  const uvec2 tile = own_tile(pieces(args.m, kM));
  const uint n0 = tile.y * kRows * lanes + lane, m0 = tile.x * kM;
  if (tile.y * kRows * lanes >= args.n) return;
  uint64_t x_at[kM];
  for (uint m = 0; m < kM; ++m) x_at[m] = x_row(m0 + m);
  float sum[kRows][kM];
  for (uint r = 0; r < kRows; ++r) {
    for (uint m = 0; m < kM; ++m) sum[r][m] = 0.0;
  }
  for (uint k = 0; k < args.k; k += 32) {
    float w[kRows][32];
    for (uint r = 0; r < kRows; ++r) decode_32(min(n0 + r * lanes, args.n - 1), k, w[r]);
    for (uint m = 0; m < kM; ++m) {
      for (uint begin = 0; begin < 32; begin += part) {
        const vec4 own = read_4_of_x(x_at[m], k + begin + 4 * lane % part);
        for (uint i = 0; i < part; ++i) {
          const float x = subgroupShuffle(own[i % 4], i / 4);
          for (uint r = 0; r < kRows; ++r) sum[r][m] += w[r][begin + i] * x;
        }
      }
    }
  }
  for (uint m = 0; m < kM; ++m) {
    const uint64_t y_at = y_row(m0 + m);
    for (uint r = 0; r < kRows; ++r) {
      if (m0 + m < args.m && n0 + r * lanes < args.n) write_y(y_at, n0 + r * lanes, sum[r][m]);
    }
  }
}
