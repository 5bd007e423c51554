// A product whose rows of x pass kM at a time: a workgroup has kRows rows of w, its lanes have places along them, 32
// weights each. What is read of x serves all of those rows of w, what is decoded of w all of those rows of x.
layout(constant_id = 1) const uint kX = 0;
layout(constant_id = 2) const uint kY = 0;
layout(constant_id = 3) const uint kM = 1;     // rows of x
layout(constant_id = 7) const uint kRows = 4;  // rows of w

float x_at(uint m, uint k) {
  const int64_t at = int64_t(m) * args.x_row + int64_t(k) * args.x_column;
  return m < args.m && k < args.k ? load_float(kX, args.x + uint64_t(at * int64_t(item_size(kX)))) : 0.0;
}

void main() {
  const uint first = gl_WorkGroupID.x * kRows, m0 = gl_WorkGroupID.y * kM;
  const uint lane = gl_LocalInvocationIndex, step = gl_WorkGroupSize.x * 32;
  float sum[kRows][kM];
  for (uint r = 0; r < kRows; ++r) {
    for (uint m = 0; m < kM; ++m) sum[r][m] = 0.0;
  }
  for (uint k = lane * 32; k < args.k; k += step) {
    float x[kM][32];
    for (uint m = 0; m < kM; ++m) {
      for (uint i = 0; i < 32; ++i) x[m][i] = x_at(m0 + m, k + i);
    }
    for (uint r = 0; r < kRows; ++r) {
      float w[32];
      decode_32(min(first + r, args.n - 1), k, w);
      for (uint m = 0; m < kM; ++m) {
        for (uint i = 0; i < 32; ++i) sum[r][m] += w[i] * x[m][i];
      }
    }
  }
  for (uint r = 0; r < kRows; ++r) {
    for (uint m = 0; m < kM; ++m) {
      const float total = sum_together(sum[r][m]);
      if (lane != 0 || first + r >= args.n || m0 + m >= args.m) continue;
      const int64_t at = int64_t(m0 + m) * args.y_row + int64_t(first + r) * args.y_column;
      store_float(kY, args.y + uint64_t(at * int64_t(item_size(kY))), total);
    }
  }
}
