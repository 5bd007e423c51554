/// Scales of E4M3, of 16 weights each. What is past a row's end is zero.
vec2 e4m3_scales(uint row, uint k) {
  const float first = float_of_e4m3(byte_scale(row, k / 16));
  return vec2(first, k + 16 < args.k ? float_of_e4m3(byte_scale(row, k / 16 + 1)) : 0.0);
}
