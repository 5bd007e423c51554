// Doubles by their bits, and whole numbers as a sign and 64 bits: few devices compute with either as they are stored.

/// A whole number as conversions see it.
struct Whole {
  bool negative;
  uint64_t magnitude;
};
Whole whole_of(int64_t x, bool is_signed) {
  const bool negative = is_signed && is_negative(x);
  return Whole(negative, uint64_t(negative ? -x : x));
}
int top_bit(uint64_t x) {
  const uvec2 halves = unpackUint2x32(x);
  return halves.y != 0 ? 32 + findMSB(halves.y) : findMSB(halves.x);
}

/// `digits` without its last `drop` bits, to nearest even; `odd`: cut off, with the last bit set where something was lost,
/// so that rounding again to fewer bits gives what rounding once would (Boldo and Melquiond, 2008).
uint64_t rounded(uint64_t digits, int drop, bool odd) {
  if (drop <= 0) return digits << -drop;
  if (drop > 63) return odd && digits != 0 ? 1UL : 0UL;
  const uint64_t kept = digits >> drop, rest = digits & ((1UL << drop) - 1UL), half_unit = 1UL << (drop - 1);
  if (odd) return rest != 0 ? kept | 1UL : kept;
  return rest > half_unit || (rest == half_unit && (kept & 1UL) != 0) ? kept + 1UL : kept;
}

uint64_t double_of_whole(Whole x) {
  if (x.magnitude == 0) return 0UL;
  const int top = top_bit(x.magnitude);
  // The leading digit adds one to the exponent.
  const uint64_t bits = (uint64_t(1022 + top) << 52) + rounded(x.magnitude, top - 52, false);
  return bits | (x.negative ? 1UL << 63 : 0UL);
}
uint64_t double_of_float(float x) {
  const uint bits = floatBitsToUint(x), magnitude = bits & 0x7fffffffu;
  const uint64_t sign = uint64_t(bits >> 31) << 63;
  if (magnitude >= 0x7f800000u) return sign | 0x7ff0000000000000UL | uint64_t(magnitude & 0x7fffffu) << 29;
  if (magnitude >= 0x800000u) return sign | (uint64_t(magnitude) << 29) + (896UL << 52);
  if (magnitude == 0) return sign;
  const int top = findMSB(magnitude);  // subnormal: units of 2^-149
  return sign | (uint64_t(1022 + top - 149) << 52) + (uint64_t(magnitude) << (52 - top));
}
float float_of_double(uint64_t bits, bool odd) {
  const uint64_t magnitude = bits & 0x7fffffffffffffffUL;
  const uint sign = uint(bits >> 32) & 0x80000000u;
  if (magnitude > 0x7ff0000000000000UL) return uintBitsToFloat(sign | 0x7fc00000u);
  const int exponent = max(int(magnitude >> 52), 1) - 896;  // as floats have it; below 1 they are subnormal
  if (exponent > 254) return uintBitsToFloat(sign | 0x7f800000u);
  const uint64_t digits = (magnitude & 0xfffffffffffffUL) | (magnitude >> 52 != 0 ? 1UL << 52 : 0UL);
  const uint kept = uint(rounded(digits, exponent < 1 ? 30 - exponent : 29, odd));
  return uintBitsToFloat(sign | (uint(max(exponent, 1) - 1) << 23) + kept);
}
/// The integer part; what 64 bits do not hold is all of them, and NaN is 0.
Whole whole_of_double(uint64_t bits) {
  const uint64_t magnitude = bits & 0x7fffffffffffffffUL;
  const bool negative = int(uint(bits >> 32)) < 0;
  const int exponent = int(magnitude >> 52) - 1023;
  if (magnitude > 0x7ff0000000000000UL || exponent < 0) return Whole(false, 0UL);
  if (exponent > 63) return Whole(negative, 0xffffffffffffffffUL);
  const uint64_t digits = (magnitude & 0xfffffffffffffUL) | 1UL << 52;
  return Whole(negative, exponent > 52 ? digits << (exponent - 52) : digits >> (52 - exponent));
}
/// What an integer type cannot hold is clamped.
int64_t clamped(Whole x, uint dtype) {
  const int bits = int(item_size(dtype)) * 8;
  const bool is_signed = dtype == kI8 || dtype == kI16 || dtype == kI32 || dtype == kI64;
  if (!is_signed) return int64_t(x.negative ? 0UL : min(x.magnitude, 0xffffffffffffffffUL >> (64 - bits)));
  const uint64_t most = 0x7fffffffffffffffUL >> (64 - bits);
  return x.negative ? -int64_t(min(x.magnitude, most + 1UL)) : int64_t(min(x.magnitude, most));
}
