// MLX's affine triplets: component 0 is a row's codes, one little-endian bit stream of 32-bit words; 1 and 2 are a scale and a
// bias for each group.
layout(constant_id = 4) const uint kBits = 4;
layout(constant_id = 5) const uint kGroup = 64;
layout(constant_id = 6) const uint kScale = 0;  // dtype of scales and biases

vec2 scale_and_bias(uint row, uint k) {
  const uint64_t at = uint64_t(k / kGroup * item_size(kScale));
  return vec2(load_float(kScale, component(1, row) + at), load_float(kScale, component(2, row) + at));
}

/// Eight codes are `kBits` bytes, in one word or two.
void values_of_8(uint row, uint k, out float v[8]) {
  const uint bit = k * kBits, shift = bit & 31u;
  const uint64_t word = component(0, row) + uint64_t(bit >> 5) * 4;
  const uint mask = (1u << kBits) - 1u;
  uint low = Word(word).value, high = 0;
  if (kBits != 2 && kBits != 4 && shift + 8 * kBits > 32) {
    high = Word(word + 4).value;
    low = shift == 0 ? low : (low >> shift) | (high << (32 - shift));
    high >>= shift;
  } else {
    low >>= shift;
  }
  for (uint i = 0; i < 8; ++i) {
    const uint at = i * kBits;
    uint code;
    if (at >= 32) {
      code = high >> (at - 32);
    } else if (at + kBits > 32) {
      code = low >> at | high << (32 - at);
    } else {
      code = low >> at;
    }
    v[i] = float(code & mask);
  }
}
