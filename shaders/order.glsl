// Operand 1, u64, becomes numbers that are ordered as operand 0's elements are to be: NaN behind everything.
layout(constant_id = 1) const uint kIn = 0;
layout(constant_id = 2) const bool kDescending = false;

void main() {
  const uint i = invocation();
  if (i >= walk_count()) return;
  const uvec4 place = place_of(i);
  const uint64_t from = element(0, place, kIn);
  uint64_t key;
  if (is_float(kIn)) {
    const float x = load_float(kIn, from);
    uint bits = floatBitsToUint(x);
    if ((bits & 0x7fffffffu) == 0) bits = 0;
    bits ^= (bits >> 31) != 0 ? 0xffffffffu : 0x80000000u;
    key = isnan(x) ? 1UL << 32 : uint64_t(kDescending ? ~bits : bits);
  } else {
    key = uint64_t(load_integer(kIn, from)) ^ 1UL << 63;
    if (kDescending) key = ~key;
  }
  Long(element(1, place, kU64)).value = key;
}
