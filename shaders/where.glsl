// Operand 3 takes its element from operand 1 where operand 0, boolean, is true, else from operand 2.
layout(constant_id = 1) const uint kWord = 0;  // an unsigned dtype of the elements' size

void main() {
  const uint i = invocation();
  if (i >= walk_count()) return;
  const uvec4 place = place_of(i);
  const bool condition = load_integer(kBool, element(0, place, kBool)) != 0;
  const uint64_t from = condition ? element(1, place, kWord) : element(2, place, kWord);
  store_integer(kWord, element(3, place, kWord), load_integer(kWord, from));
}
