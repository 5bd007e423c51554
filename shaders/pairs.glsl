// Numbers as unevaluated sums of two floats: twice the digits (Dekker, 1971). `precise` keeps compilers from joining steps.

vec2 sum_of(float a, float b) {
  precise const float s = a + b;
  precise const float part = s - a;
  precise const float error = (a - (s - part)) + (b - part);
  return vec2(s, error);
}
float upper_half(float x) { return uintBitsToFloat(floatBitsToUint(x) & 0xfffff000u); }
vec2 product_of(float a, float b) {
  const float ah = upper_half(a), bh = upper_half(b);
  precise const float p = a * b;
  precise const float al = a - ah, bl = b - bh;
  precise const float error = ((ah * bh - p) + ah * bl + al * bh) + al * bl;
  return vec2(p, error);
}
/// Rounded to nearest, as what devices divide need not be.
float quotient(float a, float b) {
  precise const float q = a / b;
  if (isinf(q) || isinf(b)) return q;
  const vec2 p = product_of(q, b);
  precise const float rest = (a - p.x) - p.y;
  precise const float nearer = q + rest / b;
  return nearer;
}
vec2 plus(vec2 a, vec2 b) {
  const vec2 s = sum_of(a.x, b.x);
  precise const float rest = s.y + (a.y + b.y);
  return sum_of(s.x, rest);
}
vec2 times(vec2 a, float b) {
  const vec2 p = product_of(a.x, b);
  precise const float rest = p.y + a.y * b;
  return sum_of(p.x, rest);
}
