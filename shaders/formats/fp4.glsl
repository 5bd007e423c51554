// E2M1, and a float for each 128.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) { scale_e2m1(row, k, vec2(own_scale(row, k / 128)), c); }
