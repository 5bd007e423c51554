// Every element of operand 0 becomes the one whose bytes are given.
layout(constant_id = 1) const uint kOut = 0;

void main() {
  const uint i = invocation();
  if (i >= walk_count()) return;
  store_integer(kOut, element(0, place_of(i), kOut), int64_t(packUint2x32(walk.extra.xy)));
}
