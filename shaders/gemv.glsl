// A product with few rows of x: a workgroup has kRows rows of w, its lanes have places along them. What is read of x
// serves all of those rows, what is decoded of w all rows of x.
layout(constant_id = 1) const uint kX = 0;
layout(constant_id = 2) const uint kY = 0;
layout(constant_id = 3) const uint kM = 1;  // rows of x

const uint kRows = 4;

void main() {
  const uint first = (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * kRows;
  if (first >= args.n) return;
  const uint lane = gl_LocalInvocationIndex, step = gl_WorkGroupSize.x * 8;
  const uint x_item = item_size(kX);
  float sum[kRows][kM];
  for (uint r = 0; r < kRows; ++r) {
    for (uint m = 0; m < kM; ++m) sum[r][m] = 0.0;
  }
  for (uint k = lane * 8; k < args.k; k += step) {
    float x[kM][8];
    for (uint m = 0; m < kM; ++m) {
      for (uint i = 0; i < 8; ++i) {
        const int64_t at = int64_t(m) * args.x_row + int64_t(k + i) * args.x_column;
        x[m][i] = k + i < args.k ? load_float(kX, args.x + uint64_t(at * x_item)) : 0.0;
      }
    }
    for (uint r = 0; r < kRows; ++r) {
      float w[8];
      decode_8(min(first + r, args.n - 1), k, w);
      for (uint m = 0; m < kM; ++m) {
        for (uint i = 0; i < 8; ++i) sum[r][m] += w[i] * x[m][i];
      }
    }
  }
  for (uint r = 0; r < kRows; ++r) {
    for (uint m = 0; m < kM; ++m) {
      const float total = sum_together(sum[r][m]);
      if (lane != 0 || first + r >= args.n) continue;
      const int64_t at = int64_t(m) * args.y_row + int64_t(first + r) * args.y_column;
      store_float(kY, args.y + uint64_t(at * int64_t(item_size(kY))), total);
    }
  }
}
