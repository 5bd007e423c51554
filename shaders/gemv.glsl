// A product whose rows of x pass kM at a time: a workgroup has kRows rows of w, its lanes have places along them, 32
// weights each. What is read of x serves all of those rows of w, what is decoded of w all of those rows of x.
layout(constant_id = 1) const uint kX = 0;
layout(constant_id = 2) const uint kY = 0;
layout(constant_id = 3) const uint kM = 1;     // rows of x
layout(constant_id = 7) const uint kRows = 4;  // rows of w

layout(constant_id = 8) const int kColumn = 0;       // stride of x along a row, where it is known
layout(constant_id = 9) const bool kRagged = true;  // whether rows end inside of 32

/// 32 elements of a row of x. Places within them are reckoned in 32 bits, since this is where the time goes.
void load_x(uint m, uint k, out float x[32]) {
  const int column = (kColumn != 0 ? kColumn : args.x_column) * int(item_size(kX));
  const int64_t at = int64_t(min(m, args.m - 1)) * args.x_row * int64_t(item_size(kX)) + int64_t(k) * column;
  const uint64_t begin = args.x + uint64_t(at);
  for (uint i = 0; i < 32; ++i) {
    x[i] = !kRagged || k + i < args.k ? load_float(kX, begin + uint64_t(int64_t(int(i) * column))) : 0.0;
  }
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
    for (uint m = 0; m < kM; ++m) load_x(m0 + m, k, x[m]);
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
