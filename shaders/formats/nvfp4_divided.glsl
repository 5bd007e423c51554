// compressed-tensors' nvfp4, whose scales are all divided by a row's own number.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  const vec2 scales = e4m3_scales(row, k);
  const float divisor = row_scale(row);
  scale_e2m1(row, k, vec2(quotient(scales.x, divisor), quotient(scales.y, divisor)), c);
}
