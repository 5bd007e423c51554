// Products whose rows of x pass kM at a time: a workgroup has kRows rows of w, its lanes have places along them, 32 weights
// each.
layout(constant_id = 3) const uint kM = 1;     // rows of x
layout(constant_id = 7) const uint kRows = 4;  // rows of w

void write_sums(float sum[kRows][kM], uint first, uint m0) {
  for (uint r = 0; r < kRows; ++r) {
    for (uint m = 0; m < kM; ++m) {
      const float total = sum_together(sum[r][m]);
      if (gl_LocalInvocationIndex == 0 && first + r < args.n && m0 + m < args.m) write_y(y_row(m0 + m), first + r, total);
    }
  }
}
