// Operand 2 becomes f(operand 0, operand 1), element by element; comparisons write booleans.
layout(constant_id = 1) const uint kOp = 0;
layout(constant_id = 2) const uint kIn = 0;

// BinaryOp's order.
const uint kAdd = 0, kSubtract = 1, kMultiply = 2, kDivide = 3, kFloorDivide = 4, kRemainder = 5, kPower = 6, kMinimum = 7,
           kMaximum = 8, kEqual = 9, kNotEqual = 10, kLess = 11, kLessEqual = 12, kGreater = 13, kGreaterEqual = 14,
           kLogicalAnd = 15, kLogicalOr = 16;

float of_floats(float a, float b) {
  switch (kOp) {
    case kAdd: return a + b;
    case kSubtract: return a - b;
    case kMultiply: return a * b;
    case kDivide: return a / b;
    case kFloorDivide: return floor_quotient_of(a, b);
    case kRemainder: return remainder_of(a, b);
    case kPower: return power_of(a, b);
    case kMinimum: return isnan(a) ? a : b < a || isnan(b) ? b : a;  // a NaN wins
    default: return isnan(a) ? a : a < b || isnan(b) ? b : a;        // maximum
  }
}
bool compare_floats(float a, float b) {
  switch (kOp) {
    case kEqual: return a == b;
    case kNotEqual: return !(a == b);
    case kLess: return a < b;
    case kLessEqual: return a <= b;
    case kGreater: return a > b;
    case kGreaterEqual: return a >= b;
    case kLogicalAnd: return !(a == 0.0) && !(b == 0.0);
    default: return !(a == 0.0) || !(b == 0.0);
  }
}

/// Towards minus infinity; by 0 it is 0, as NumPy has it.
int64_t floor_quotient(int64_t a, int64_t b) {
  if (b == 0) return 0;
  if (b == -1) return -a;
  const int64_t q = a / b;
  return q * b != a && is_negative(a) != is_negative(b) ? q - 1 : q;
}
/// Wraps around like the products it stands for; a negative exponent truncates to an integer.
int64_t integer_power(int64_t a, int64_t b) {
  if (is_negative(b)) return a == 1 ? 1 : a == -1 ? ((b & 1) == 0 ? 1 : -1) : 0;
  int64_t result = 1;
  for (int64_t square = a; b != 0; b >>= 1, square *= square) {
    if ((b & 1) != 0) result *= square;
  }
  return result;
}
int64_t of_integers(int64_t a, int64_t b) {
  switch (kOp) {
    case kAdd: return a + b;
    case kSubtract: return a - b;
    case kMultiply: return a * b;
    case kFloorDivide: return floor_quotient(a, b);
    case kRemainder: return b == 0 ? 0 : a - floor_quotient(a, b) * b;
    case kPower: return integer_power(a, b);
    case kMinimum: return b < a ? b : a;
    case kMaximum: return a < b ? b : a;
    case kEqual: return a == b ? 1 : 0;
    case kNotEqual: return a != b ? 1 : 0;
    case kLess: return a < b ? 1 : 0;
    case kLessEqual: return a <= b ? 1 : 0;
    case kGreater: return a > b ? 1 : 0;
    case kGreaterEqual: return a >= b ? 1 : 0;
    case kLogicalAnd: return a != 0 && b != 0 ? 1 : 0;
    default: return a != 0 || b != 0 ? 1 : 0;
  }
}

void main() {
  const uint i = invocation();
  if (i >= walk_count()) return;
  const uvec4 place = place_of(i);
  const bool is_test = kOp >= kEqual;
  const uint64_t a = element(0, place, kIn), b = element(1, place, kIn), to = element(2, place, is_test ? kBool : kIn);
  if (!is_float(kIn)) {
    store_integer(is_test ? kBool : kIn, to, of_integers(load_integer(kIn, a), load_integer(kIn, b)));
  } else if (is_test) {
    store_integer(kBool, to, compare_floats(load_float(kIn, a), load_float(kIn, b)) ? 1 : 0);
  } else {
    store_float(kIn, to, of_floats(load_float(kIn, a), load_float(kIn, b)));
  }
}
