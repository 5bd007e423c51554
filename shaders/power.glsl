// a^b to an ulp or two, as e^(b ln |a|) with a logarithm of twice a float's digits; what C's pow says of signs, zeros and
// infinities.

/// ln x of a finite x > 0: its exponent's, and 2 atanh s, s = f / (2 + f), whose first term has a rest.
vec2 log_pair(float x) {
  const bool tiny = x < 1.17549435e-38;
  const uint shifted = floatBitsToUint(tiny ? x * 8388608.0 : x) + (0x3f800000u - 0x3f3504f3u);
  const float k = float(int(shifted >> 23) - (tiny ? 150 : 127));
  const float f = uintBitsToFloat((shifted & 0x7fffffu) + 0x3f3504f3u) - 1.0;
  const vec2 d = sum_of(2.0, f);
  precise const float s = f / d.x;
  const vec2 back = product_of(s, d.x);
  precise const float rest = (((f - back.x) - back.y) - s * d.y) / d.x;
  const float z = s * s;
  float p = 0.15384615;
  p = p * z + 0.18181818;
  p = p * z + 0.22222222;
  p = p * z + 0.28571429;
  p = p * z + 0.4;
  p = p * z + 0.66666667;
  precise const float tail = 2.0 * rest + s * z * p;
  // The first part of ln 2 has few digits: its product with an exponent is exact.
  const vec2 whole = vec2(k * 0.693145751953125, k * 1.42860677e-06);
  return plus(whole, sum_of(2.0 * s, tail));
}

bool is_whole(float x) { return floor(x) == x; }
bool is_odd(float x) { return abs(x) < 16777216.0 && is_whole(x) && (int(x) & 1) != 0; }

float power_of(float a, float b) {
  if (b == 0.0 || a == 1.0) return 1.0;
  if (isnan(a) || isnan(b)) return quiet_nan();
  const float size = abs(a);
  if (a < 0.0 && !isinf(a) && !is_whole(b)) return quiet_nan();
  const bool negative = (floatBitsToUint(a) >> 31) != 0 && is_odd(b);
  float y;
  if (size == 1.0) {
    y = 1.0;
  } else if (size == 0.0 || isinf(size) || isinf(b)) {
    y = (size > 1.0) == (b > 0.0) ? infinity() : 0.0;
  } else {
    const vec2 product = times(log_pair(size), clamp(b, -1e10, 1e10));  // no logarithm is below 5e-8
    y = abs(product.x) < 200.0 ? exp_of_sum(product.x, product.y) : product.x > 0.0 ? infinity() : 0.0;
  }
  return negative ? -y : y;
}
