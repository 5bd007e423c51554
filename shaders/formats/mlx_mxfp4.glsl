// MLX's mxfp4: E2M1, and an exponent for each 32.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) { scale_e2m1(row, k, vec2(power_of_two(byte_scale(row, k / 32))), c); }
