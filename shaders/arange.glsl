// Operand 0, in one axis: start + i · step, in whole numbers or, for floats, in pairs of them.
layout(constant_id = 1) const uint kOut = 0;

void main() {
  const uint i = invocation();
  if (i >= walk_count()) return;
  const uint64_t to = element(0, place_of(i), kOut);
  if (is_float(kOut)) {
    const vec2 start = uintBitsToFloat(walk.extra.xy), step = uintBitsToFloat(walk.extra.zw);
    const vec2 value = plus(start, plus(times(step, float(i & ~0xfffu)), times(step, float(i & 0xfffu))));
    store_float(kOut, to, value.x);
  } else {
    const int64_t start = int64_t(packUint2x32(walk.extra.xy)), step = int64_t(packUint2x32(walk.extra.zw));
    store_integer(kOut, to, start + int64_t(i) * step);
  }
}
