// Operand 0 is written over operand 1, along whose rows it begins where operand 2, i32, says for each place. What would
// pass the end of the axis is not written, and reported; operand 3 is the error word.
layout(constant_id = 1) const uint kIn = 0;
layout(constant_id = 2) const uint kOut = 0;

void main() {
  const uint i = invocation();
  if (i >= walk_count()) return;
  const uvec4 place = place_of(i);
  const int64_t start = load_integer(kI32, element(2, place, kI32));
  if (is_negative(start) || start > int64_t(walk.extra.x)) {
    report(walk.address[3], walk.extra.y, start);
    return;
  }
  const int64_t step = int64_t(packUint2x32(walk.extra.zw));
  const uint64_t to = element(1, place, kOut) + uint64_t(start * step * item_size(kOut));
  if (kIn == kOut) {
    store_integer(kOut, to, load_integer(kOut, element(0, place, kIn)));
  } else {
    store_float(kOut, to, load_float(kIn, element(0, place, kIn)));
  }
}
