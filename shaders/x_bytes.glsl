// Rows of x as signed bytes, for products of bytes: 32 entries an invocation, a step for each 16 of them, with which no row errs
// by more than √15 / 254 of its norm. What is not finite, or so small or large that steps would vanish or sums overflow, is
// marked.
void main() {
  const uint each = padded_k() / 32, i = (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
  const uint m = i / each, k = i % each * 32;
  if (m >= args.m) return;
  float x[32];
  read_32_of_x(x_row(m), k, x);
  const uint64_t row = bytes_row(m);
  uvec4 factors;
  for (uint h = 0; h < 2; ++h) {
    uint largest = 0;
    for (uint j = 16 * h; j < 16 * h + 16; ++j) largest = max(largest, floatBitsToUint(x[j]) & 0x7fffffffu);
    const bool is_plain = largest < kHugeBits && (largest == 0 || largest > kTinyBits);
    const float most = uintBitsToFloat(largest), inverse = is_plain && largest != 0 ? 127.0 / most : 0.0;
    uvec4 codes = uvec4(0);
    int sum = 0;
    for (uint j = 0; j < 16 && is_plain; ++j) {
      const int code = int(roundEven(x[16 * h + j] * inverse));
      codes[j / 4] |= uint(code & 255) << 8 * (j % 4);
      sum += code;
    }
    Quad(row + k + 16 * h).value = codes;
    factors[2 * h] = is_plain ? floatBitsToUint(most / 127.0) : kMark;
    factors[2 * h + 1] = floatBitsToUint(float(sum) * (most / 127.0));
  }
  Quad(row + padded_k() + k / 2).value = factors;
}
