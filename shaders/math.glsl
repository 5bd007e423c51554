// Elementary functions to an ulp or two. Those of the language may be off by 2^-11 (sin, cos), or flush what is small.

float quiet_nan() { return uintBitsToFloat(0x7fc00000u); }
float infinity() { return uintBitsToFloat(0x7f800000u); }

/// e^(x + rest), the rest small beside x: reduction by a two-part ln 2 (Cody and Waite, 1980), Taylor's series on
/// |r| <= ln 2 / 2, and a scaling in two steps so that results underflow gradually and overflow to Inf.
float exp_of_sum(float x, float rest) {
  const float bounded = clamp(x, -104.0, 89.0);
  const float n = roundEven(bounded * 1.44269504);
  precise const float r = ((bounded - n * 0.693145751953125) - n * 1.42860677e-06) + rest;
  float p = 1.98412701e-4;
  p = p * r + 1.38888892e-3;
  p = p * r + 8.33333377e-3;
  p = p * r + 4.16666679e-2;
  p = p * r + 0.166666672;
  p = p * r + 0.5;
  precise const float value = 1.0 + (r + r * r * p);
  const int steps = int(n), first = steps >> 1;
  const float scaled = value * uintBitsToFloat(uint(first + 127) << 23) * uintBitsToFloat(uint(steps - first + 127) << 23);
  return isnan(x) ? x : scaled;
}
float exp_of(float x) { return exp_of_sum(x, 0.0); }

/// ln x from its exponent, and on [1/sqrt 2, sqrt 2] by the series of 2 atanh s, s = f / (2 + f) (fdlibm's coefficients).
float log_of(float x) {
  const bool tiny = x < 1.17549435e-38;
  const uint bits = floatBitsToUint(tiny ? x * 8388608.0 : x);
  const uint shifted = bits + (0x3f800000u - 0x3f3504f3u);
  const int exponent = int(shifted >> 23) - 127;
  const float f = uintBitsToFloat((shifted & 0x7fffffu) + 0x3f3504f3u) - 1.0;
  const float k = float(tiny ? exponent - 23 : exponent);
  const float s = f / (2.0 + f), z = s * s, w = z * z;
  const float series = z * (0.66666662693 + w * 0.28498786688) + w * (0.40000972152 + w * 0.24279078841);
  const float half_square = 0.5 * f * f;
  precise const float value = ((s * (half_square + series) + k * 9.0580006145e-6) - half_square + f) + k * 0.69313812256;
  if (isnan(x) || x < 0.0) return quiet_nan();
  return x == 0.0 ? -infinity() : isinf(x) ? x : value;
}

// ---- angles: as turns in fixed point, 2^64 to the turn, where whole turns vanish by themselves and no place is lost ----

/// |x| as turns.
uint64_t turns_of(float x) {
  const uint bits = floatBitsToUint(x) & 0x7fffffffu;
  const uint64_t digits = uint64_t(bits < 0x800000u ? bits : (bits & 0x7fffffu) | 0x800000u);
  const int shift = 150 - max(int(bits >> 23), 1);
  const uint64_t high = digits * 0x28be60dbUL, low = digits * 0x9391054aUL;  // 2^64 / 2 pi, in two halves
  if (shift <= 0) return shift <= -64 ? 0UL : ((high << 32) + low) << -shift;
  if (shift < 32) return (high << (32 - shift)) + (low >> shift);
  return shift < 64 ? (high >> (shift - 32)) + (low >> shift) : shift < 96 ? high >> (shift - 32) : 0UL;
}

/// (cos, sin) of an angle in turns: polynomials on an eighth of a turn (Cephes' coefficients).
vec2 cos_sin_of_turns(uint64_t turns) {
  const uint64_t quarter = turns + 0x2000000000000000UL >> 62;
  const float x = float(int64_t(turns - (quarter << 62))) * 3.40612158e-19;  // 2 pi / 2^64
  const float z = x * x;
  const float s = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * x + x;
  const float c = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0;
  const uint q = uint(quarter) & 3u;
  const vec2 near = (q & 1u) != 0 ? vec2(s, c) : vec2(c, s);
  return vec2(q == 1u || q == 2u ? -near.x : near.x, q >= 2u ? -near.y : near.y);
}
float cos_of(float x) { return isnan(x) || isinf(x) ? quiet_nan() : cos_sin_of_turns(turns_of(x)).x; }
float sin_of(float x) {
  if (isnan(x) || isinf(x)) return quiet_nan();
  if (abs(x) < 2.44140625e-4) return x;
  const float y = cos_sin_of_turns(turns_of(x)).y;
  return x < 0.0 ? -y : y;
}

// ---- what models are made of ----

/// By the odd polynomial near 0 (Cephes' coefficients), else by e^2x.
float tanh_of(float x) {
  const float a = abs(x), z = x * x;
  if (a < 0.625) {
    float p = -5.70498872745e-3;
    p = p * z + 2.06390887954e-2;
    p = p * z - 5.37397155531e-2;
    p = p * z + 1.33314422036e-1;
    p = p * z - 3.33332819422e-1;
    return p * z * x + x;
  }
  const float y = 1.0 - 2.0 / (exp_of(2.0 * a) + 1.0);
  return isnan(x) ? x : x < 0.0 ? -y : y;
}

/// 1 / (1 + e^-x), with full relative precision in both tails.
float sigmoid_of(float x) {
  const float e = exp_of(-abs(x));
  return (x < 0.0 ? e : 1.0) / (1.0 + e);
}
float silu_of(float x) { return x * sigmoid_of(x); }
/// By tanh: (1 + tanh u) / 2 is the sigmoid of 2u (Hendrycks and Gimpel, 2016).
float gelu_tanh_of(float x) { return x * sigmoid_of(1.595769122 * (x + 0.044715 * x * x * x)); }

/// The normal distribution below -a, a >= 0, to full relative precision: by erfc, as a polynomial in t = 1 / (1 + a / 4)
/// times two exponentials whose arguments are exact together. Beyond 15 it is 0 to the last place.
float normal_tail(float a) {
  const float t = 1.0 / (1.0 + 0.25 * a), s = t * 2.53333330 - 1.53333330;
  float p = -1.08497659e-06;
  p = p * s + 3.6934025e-06;
  p = p * s + 1.88280119e-05;
  p = p * s - 4.99867238e-05;
  p = p * s - 3.3513052e-04;
  p = p * s + 1.34042071e-04;
  p = p * s + 6.3627013e-03;
  p = p * s + 2.95192823e-02;
  p = p * s + 8.12725648e-02;
  p = p * s + 0.157504186;
  p = p * s + 0.225570917;
  const float upper = uintBitsToFloat(floatBitsToUint(a) & 0xfffff000u);
  return a > 15.0 ? 0.0 : p * t * exp_of(-0.5 * upper * upper) * exp_of(-0.5 * (a - upper) * (a + upper));
}
float gelu_of(float x) {
  const float a = abs(x);
  if (a > 15.0) return x > 0.0 ? x : -0.0;  // Inf * 0 must not get through
  const float tail = normal_tail(a);
  return x * (x < 0.0 ? tail : 1.0 - tail);
}
/// Taylor's series where the distribution's tail would cancel.
float erf_of(float x) {
  const float a = abs(x), z = x * x;
  if (a < 0.5) {
    float p = 1.20553329e-4;
    p = p * z - 8.54832700e-4;
    p = p * z + 5.22397762e-3;
    p = p * z - 2.68661706e-2;
    p = p * z + 0.112837917;
    p = p * z - 0.376126389;
    p = p * z + 0.128379167;
    return p * x + x;
  }
  const float y = 1.0 - 2.0 * normal_tail(a * 1.41421356);
  return isnan(x) ? x : x < 0.0 ? -y : y;
}
