// MLX's nvfp4: E2M1, and a scale of E4M3 for each 16.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) { scale_e2m1(row, k, e4m3_scales(row, k), c); }
