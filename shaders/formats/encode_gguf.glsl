// Into GGUF's blocks of 32 weights: kCodeBits of 4 or 5, with an offset or symmetric, by the reference's rules.
const uint kGroupSize = 32;

/// The weight of largest magnitude, sign kept, the first of several; a NaN wins.
float largest_by_magnitude() {
  float largest = weight(0);
  for (uint i = 1; i < 32 && !isnan(largest); ++i) {
    const float w = weight(i);
    if (isnan(w) || abs(w) > abs(largest)) largest = w;
  }
  return largest;
}
float reciprocal_or_zero(float d) { return d == 0.0 ? 0.0 : quotient(1.0, d); }
void store_word(uint64_t at, uint word) {
  Half(at).value = uint16_t(word & 0xffffu);
  Half(at + 2).value = uint16_t(word >> 16);
}

/// Scale, an offset where there is one, fifth bits where there are, nibbles: byte j holds weights j (low) and j + 16.
void encode_nibbles(uint64_t block, uint code_bits, bool has_offset) {
  const float top = float((1u << code_bits) - 1u), zero = float(1u << (code_bits - 1));
  float d, m = 0.0;
  if (has_offset) {
    float low = weight(0), high = low;
    bool has_nan = false;
    for (uint i = 0; i < 32; ++i) {
      const float w = weight(i);
      has_nan = has_nan || isnan(w);
      low = w < low ? w : low;
      high = w > high ? w : high;
    }
    m = has_nan ? uintBitsToFloat(0x7fc00000u) : low;
    d = has_nan ? m : quotient(high - low, top);
  } else {
    d = largest_by_magnitude() * (-1.0 / zero);  // a power of two
  }
  const float inverse = reciprocal_or_zero(d), rounding = has_offset ? 0.5 : zero + 0.5;
  uint nibbles[4] = uint[](0u, 0u, 0u, 0u), fifth = 0;
  for (uint i = 0; i < 32; ++i) {
    precise const float value = (weight(i) - m) * inverse + rounding;
    const uint code = value > 0.0 ? uint(min(value, top)) : 0u;
    fifth |= (code >> 4) << i;
    nibbles[i % 16 / 4] |= (code & 15u) << (8 * (i % 4) + (i < 16 ? 0 : 4));
  }
  Half(block).value = uint16_t(half_of_float(d));
  block += 2;
  if (has_offset) {
    Half(block).value = uint16_t(half_of_float(m));
    block += 2;
  }
  if (code_bits == 5) {
    store_word(block, fifth);
    block += 4;
  }
  for (uint i = 0; i < 4; ++i) store_word(block + 4 * i, nibbles[i]);
}
