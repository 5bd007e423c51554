// Operand 1 becomes f(operand 0), element by element; tests write booleans.
layout(constant_id = 1) const uint kOp = 0;
layout(constant_id = 2) const uint kIn = 0;

// UnaryOp's order.
const uint kNegative = 0, kAbs = 1, kSign = 2, kSquare = 3, kSqrt = 4, kRsqrt = 5, kReciprocal = 6, kExp = 7, kLog = 8, kSin = 9,
           kCos = 10, kTanh = 11, kErf = 12, kFloor = 13, kCeil = 14, kRound = 15, kLogicalNot = 16, kIsnan = 17, kIsinf = 18,
           kIsfinite = 19, kSigmoid = 20, kRelu = 21, kSilu = 22, kGelu = 23, kGeluTanh = 24;

float of_float(float x) {
  switch (kOp) {
    case kNegative: return uintBitsToFloat(floatBitsToUint(x) ^ 0x80000000u);
    case kAbs: return uintBitsToFloat(floatBitsToUint(x) & 0x7fffffffu);
    case kSign: return x > 0.0 ? 1.0 : x < 0.0 ? -1.0 : x;
    case kSquare: return x * x;
    case kSqrt: return sqrt(x);
    case kRsqrt: return 1.0 / sqrt(x);
    case kReciprocal: return 1.0 / x;
    case kExp: return exp_of(x);
    case kLog: return log_of(x);
    case kSin: return sin_of(x);
    case kCos: return cos_of(x);
    case kTanh: return tanh_of(x);
    case kErf: return erf_of(x);
    case kFloor: return floor(x);
    case kCeil: return ceil(x);
    case kRound: return roundEven(x);
    case kSigmoid: return sigmoid_of(x);
    case kRelu: return x < 0.0 ? 0.0 : x;
    case kSilu: return silu_of(x);
    case kGelu: return gelu_of(x);
    default: return gelu_tanh_of(x);
  }
}
bool test_float(float x) {
  const uint magnitude = floatBitsToUint(x) & 0x7fffffffu;
  switch (kOp) {
    case kLogicalNot: return x == 0.0;
    case kIsnan: return magnitude > 0x7f800000u;
    case kIsinf: return magnitude == 0x7f800000u;
    default: return magnitude < 0x7f800000u;
  }
}
int64_t of_integer(int64_t x) {
  switch (kOp) {
    case kNegative: return -x;
    case kAbs: return is_negative(x) ? -x : x;
    case kSign: return is_negative(x) ? -1 : x == 0 ? 0 : 1;
    case kSquare: return x * x;
    case kLogicalNot: return x == 0 ? 1 : 0;
    case kIsnan:
    case kIsinf: return 0;
    case kIsfinite: return 1;
    case kRelu: return is_negative(x) ? 0 : x;
    default: return x;  // floor, ceil, round
  }
}

void main() {
  const uint i = invocation();
  if (i >= walk_count()) return;
  const uvec4 place = place_of(i);
  const bool is_test = kOp >= kLogicalNot && kOp <= kIsfinite;
  const uint64_t from = element(0, place, kIn), to = element(1, place, is_test ? kBool : kIn);
  if (!is_float(kIn)) {
    store_integer(is_test ? kBool : kIn, to, of_integer(load_integer(kIn, from)));
  } else if (is_test) {
    store_integer(kBool, to, test_float(load_float(kIn, from)) ? 1 : 0);
  } else {
    store_float(kIn, to, of_float(load_float(kIn, from)));
  }
}
