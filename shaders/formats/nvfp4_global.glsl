// MLX's nvfp4 whose scales are all multiplied by a row's own number / (448 · 6).
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) { scale_e2m1(row, k, e4m3_scales(row, k) * quotient(row_scale(row), 2688.0), c); }
