// Operand 2, contiguous (indices, width), becomes operand 0's rows at operand 1's indices; negative ones count from the
// end, those out of range give zeros and are reported. Operand 3 is the error word.
layout(constant_id = 1) const uint kWord = 0;  // an unsigned dtype of the elements' size
layout(constant_id = 2) const uint kIndex = 0;

void main() {
  const uint i = invocation();
  if (i >= walk_count()) return;
  const uvec4 place = place_of(i);
  const int64_t index = load_integer(kIndex, element(1, place, kIndex)), count = int64_t(walk.extra.x);
  const int64_t row = is_negative(index) ? index + count : index;
  const uint64_t to = element(2, place, kWord);
  const bool is_inside = !is_negative(row) && row < count;
  const int64_t step = int64_t(packUint2x32(walk.extra.zw));
  int64_t value = 0;
  if (is_inside) value = load_integer(kWord, element(0, place, kWord) + uint64_t(row * step * item_size(kWord)));
  // One store for both: optimizers make a constant of eight bits of a 0 that is stored, which devices need not have.
  store_integer(kWord, to, value);
  if (!is_inside) report(walk.address[3], walk.extra.y, index);
}
