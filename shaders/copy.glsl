// Operand 1 becomes operand 0, converted.
layout(constant_id = 1) const uint kIn = 0;
layout(constant_id = 2) const uint kOut = 0;

/// A float of any width but f64.
float load_small(uint64_t from) {
  if (kIn == kE4m3) return float_of_e4m3(uint(Byte(from).value));
  if (kIn == kE5m2) return float_of_e5m2(uint(Byte(from).value));
  return load_float(kIn, from);
}
void store_small(uint64_t to, float x) {
  if (kOut == kE4m3 || kOut == kE5m2) {
    Byte(to).value = uint8_t(kOut == kE4m3 ? e4m3_of_float(x) : e5m2_of_float(x));
  } else {
    store_float(kOut, to, x);
  }
}
bool is_real(uint dtype) { return dtype <= kF64 || dtype > kBool; }

void main() {
  const uint i = invocation();
  if (i >= walk_count()) return;
  const uvec4 place = place_of(i);
  const uint64_t from = element(0, place, kIn), to = element(1, place, kOut);
  if (kIn == kOut) {  // an unsigned integer of the element's size
    store_integer(kOut, to, load_integer(kIn, from));
  } else if (is_real(kIn) && is_real(kOut) && kIn != kF64 && kOut != kF64) {
    store_small(to, load_small(from));
  } else if (is_real(kIn)) {
    const uint64_t x = kIn == kF64 ? Long(from).value : double_of_float(load_small(from));
    if (kOut == kF64) {
      Long(to).value = x;
    } else if (is_real(kOut)) {
      store_small(to, float_of_double(x, kOut != kF32));
    } else {
      store_integer(kOut, to, kOut == kBool ? int64_t(x << 1 != 0) : clamped(whole_of_double(x), kOut));
    }
  } else {
    const int64_t x = load_integer(kIn, from);
    const Whole whole = whole_of(x, kIn != kU64);
    if (kOut == kF64) {
      Long(to).value = double_of_whole(whole);
    } else if (is_real(kOut)) {
      // Through a double only what it holds: of longer numbers the odd bit is kept.
      const int drop = max(top_bit(whole.magnitude) - 52, 0);
      const Whole held = Whole(whole.negative, rounded(whole.magnitude, drop, true) << drop);
      store_small(to, float_of_double(double_of_whole(held), kOut != kF32));
    } else {
      store_integer(kOut, to, kOut == kBool ? int64_t(x != 0) : x);
    }
  }
}
