// Operand 0, in one axis: start + i · step, for integers.
layout(constant_id = 1) const uint kOut = 0;

void main() {
  const uint i = invocation();
  if (i >= walk_count()) return;
  const int64_t start = int64_t(packUint2x32(walk.extra.xy)), step = int64_t(packUint2x32(walk.extra.zw));
  store_integer(kOut, element(0, place_of(i), kOut), start + int64_t(i) * step);
}
