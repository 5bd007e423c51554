// Remainders of floats, exact: what a division of digits leaves, since that of numbers rounds.

/// |x| = digits · 2^(exponent - 150), the exponent at least 1.
uvec2 digits_of(float x) {
  const uint bits = floatBitsToUint(x) & 0x7fffffffu, exponent = bits >> 23;
  return exponent == 0 ? uvec2(bits, 1) : uvec2((bits & 0x7fffffu) | 0x800000u, exponent);
}

/// As C's fmod: a's sign, a finite, b finite and not 0.
float float_remainder(float a, float b) {
  const uvec2 x = digits_of(a), y = digits_of(b);
  if (x.y < y.y) return a;
  uint64_t rest = uint64_t(x.x) % uint64_t(y.x);
  for (int left = int(x.y - y.y); left > 0 && rest != 0; left -= 40) rest = (rest << min(left, 40)) % uint64_t(y.x);
  const uint digits = uint(rest), sign = floatBitsToUint(a) & 0x80000000u;
  if (digits == 0) return uintBitsToFloat(sign);
  const int exponent = int(y.y) - (23 - findMSB(digits));  // of the remainder, its digits moved up
  const uint bits = exponent >= 1 ? (uint(exponent - 1) << 23) + (digits << (int(y.y) - exponent)) : digits << (int(y.y) - 1);
  return uintBitsToFloat(sign | bits);
}
bool signs_differ(float a, float b) { return ((floatBitsToUint(a) ^ floatBitsToUint(b)) >> 31) != 0; }
float signed_zero(float like) { return uintBitsToFloat(floatBitsToUint(like) & 0x80000000u); }

/// Sign of the divisor, as Python's %.
float remainder_of(float a, float b) {
  if (isnan(a) || isnan(b) || isinf(a) || b == 0.0) return quiet_nan();
  const float rest = isinf(b) ? a : float_remainder(a, b);
  if (rest == 0.0) return signed_zero(b);
  return signs_differ(rest, b) ? rest + b : rest;
}
/// From the exact remainder, as Python does it: the floor of a rounded quotient may be one too high.
float floor_quotient_of(float a, float b) {
  if (b == 0.0) return a / b;
  if (isnan(a) || isnan(b) || isinf(a)) return quiet_nan();
  const float rest = isinf(b) ? a : float_remainder(a, b);
  float q = (a - rest) / b;
  if (rest != 0.0 && signs_differ(rest, b)) q -= 1.0;
  if (q == 0.0) return uintBitsToFloat((floatBitsToUint(a) ^ floatBitsToUint(b)) & 0x80000000u);
  const float down = floor(q);
  return q - down > 0.5 ? down + 1.0 : down;
}
