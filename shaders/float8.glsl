// OCP 8-bit floats (OFP8, revision 1.0); of those that are made, what is past the largest becomes an infinity or NaN.

float float_of_e4m3(uint bits) {
  const uint magnitude = bits & 0x7fu, sign = (bits & 0x80u) << 24;
  if (magnitude == 0x7fu) return uintBitsToFloat(sign | 0x7fc00000u);
  if (magnitude < 8u) return uintBitsToFloat(sign | floatBitsToUint(float(magnitude) * 0.001953125));  // units of 2^-9
  return uintBitsToFloat(sign | (magnitude << 20) + (120u << 23));
}
float float_of_e5m2(uint bits) { return float_of_half(bits << 8); }

uint e4m3_of_float(float x) {
  const uint bits = floatBitsToUint(x), magnitude = bits & 0x7fffffffu, sign = bits >> 24 & 0x80u;
  if (magnitude > 0x43e80000u) return sign | 0x7fu;  // past 464, nearer to what would be 480; or NaN
  if (magnitude < 0x3c800000u) return sign | uint(roundEven(uintBitsToFloat(magnitude) * 512.0));
  return sign | magnitude - (120u << 23) + 0x7ffffu + (magnitude >> 20 & 1u) >> 20;
}
uint e5m2_of_float(float x) {
  const uint bits = floatBitsToUint(x), magnitude = bits & 0x7fffffffu, sign = bits >> 24 & 0x80u;
  if (magnitude > 0x7f800000u) return sign | 0x7eu;
  if (magnitude >= 0x47700000u) return sign | 0x7cu;  // rounds to 65536 or more
  if (magnitude < 0x38800000u) return sign | uint(roundEven(uintBitsToFloat(magnitude) * 65536.0));  // units of 2^-16
  return sign | magnitude - (112u << 23) + 0xfffffu + (magnitude >> 21 & 1u) >> 21;
}
