// A product whose rows of x pass kM at a time: a workgroup has kRows rows of w, its lanes have places along them, 32
// weights each. What is decoded of w serves all rows of x, what is read of x all of those rows of w.
layout(constant_id = 3) const uint kM = 1;     // rows of x
layout(constant_id = 7) const uint kRows = 4;  // rows of w

void main() {
  const uint first = gl_WorkGroupID.x * kRows, m0 = gl_WorkGroupID.y * kM, step = gl_WorkGroupSize.x * 32;
  float sum[kRows][kM];
  for (uint r = 0; r < kRows; ++r) {
    for (uint m = 0; m < kM; ++m) sum[r][m] = 0.0;
  }
  for (uint k = gl_LocalInvocationIndex * 32; k < args.k; k += step) {
    float w[kRows][32], x[32];
    for (uint r = 0; r < kRows; ++r) decode_32(min(first + r, args.n - 1), k, w[r]);
    for (uint m = 0; m < kM; ++m) {
      read_32_of_x(x_row(m0 + m), k, x);
      for (uint r = 0; r < kRows; ++r) {
        for (uint i = 0; i < 32; ++i) sum[r][m] += w[r][i] * x[i];
      }
    }
  }
  for (uint r = 0; r < kRows; ++r) {
    for (uint m = 0; m < kM; ++m) {
      const float total = sum_together(sum[r][m]);
      if (gl_LocalInvocationIndex == 0 && first + r < args.n && m0 + m < args.m) write_y(y_row(m0 + m), first + r, total);
    }
  }
}
