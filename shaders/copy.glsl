// Operand 1 becomes operand 0, converted.
layout(constant_id = 1) const uint kIn = 0;
layout(constant_id = 2) const uint kOut = 0;

/// The integer part; what no 64 bits hold is clamped, and NaN is 0. Narrower types clamp on top.
int64_t truncated(float x) {
  if (isnan(x)) return 0;
  if (x >= 9223372036854775808.0) return 0x7fffffffffffffffL;
  if (x <= -9223372036854775808.0) return int64_t(0x8000000000000000UL);
  // By bits: the device's own conversion may stop at 32.
  const uint bits = floatBitsToUint(x);
  const int exponent = int(bits >> 23 & 0xffu) - 150;
  const uint64_t digits = uint64_t((bits & 0x7fffffu) | 0x800000u);
  if (exponent < -23) return 0;
  const int64_t magnitude = int64_t(exponent >= 0 ? digits << exponent : digits >> -exponent);
  return (bits >> 31) != 0 ? -magnitude : magnitude;
}
int64_t clamped(uint dtype, int64_t x) {
  if (dtype == kI8) return clamp(x, int64_t(-128), int64_t(127));
  if (dtype == kU8) return clamp(x, int64_t(0), int64_t(255));
  if (dtype == kI16) return clamp(x, int64_t(-32768), int64_t(32767));
  if (dtype == kU16) return clamp(x, int64_t(0), int64_t(65535));
  if (dtype == kI32) return clamp(x, int64_t(-2147483648L), int64_t(2147483647L));
  if (dtype == kU32) return clamp(x, int64_t(0), int64_t(4294967295L));
  return x;
}

/// An integer's float, rounded once to nearest even; `odd`: with the last bit set where inexact, so that rounding again to
/// 16 bits gives what rounding once would.
float float_of_integer(int64_t x, bool odd) {
  const uint64_t magnitude = uint64_t(is_negative(x) ? -x : x);
  const uvec2 halves = unpackUint2x32(magnitude);
  const int top = halves.y != 0 ? 32 + findMSB(halves.y) : findMSB(halves.x);
  if (top < 24) return float(int(x));
  const int drop = top - 23;
  uint digits = uint(magnitude >> drop);
  const uint64_t rest = magnitude & ((1UL << drop) - 1UL), half_unit = 1UL << (drop - 1);
  if (odd) {
    if (rest != 0) digits |= 1u;
  } else if (rest > half_unit || (rest == half_unit && (digits & 1u) != 0)) {
    ++digits;
  }
  const float value = uintBitsToFloat(((uint(top) + 126u) << 23) + digits);
  return is_negative(x) ? -value : value;
}

void main() {
  const uint i = invocation();
  if (i >= walk_count()) return;
  const uvec4 place = place_of(i);
  const uint64_t from = element(0, place, kIn), to = element(1, place, kOut);
  if (kIn == kOut) {
    store_integer(kOut, to, load_integer(kIn == kF32 ? kU32 : kIn == kF64 ? kU64 : kIn > kBool ? kU8 : is_float(kIn) ? kU16 : kIn, from));
  } else if (is_float(kIn)) {
    const float x = load_float(kIn, from);
    if (is_float(kOut)) {
      store_float(kOut, to, x);
    } else {
      store_integer(kOut, to, kOut == kBool ? int64_t(x != 0.0) : clamped(kOut, truncated(x)));
    }
  } else {
    const int64_t x = load_integer(kIn, from);
    if (is_float(kOut)) {
      store_float(kOut, to, float_of_integer(x, kOut != kF32));
    } else {
      store_integer(kOut, to, kOut == kBool ? int64_t(x != 0) : x);
    }
  }
}
