// MLX's affine triplets: component 0 is a row's codes, one little-endian bit stream of 32-bit words; 1 and 2 are a scale and a
// bias for each group; value = scale · code + bias. 32 codes are kBits whole words.
layout(constant_id = 4) const uint kBits = 4;
layout(constant_id = 5) const uint kGroup = 64;
layout(constant_id = 6) const uint kScale = 0;  // dtype of scales and biases
const bool kShifted = true;

/// Codes i … i + 3, a byte each.
uint four_codes(uint words[kBits], uint i) {
  if (kBits == 8) return words[i / 4];
  if (kBits == 4) {
    const uint half_word = words[i / 8] >> 16 * (i / 4 % 2) & 0xffffu, bytes = (half_word | half_word << 8) & 0x00ff00ffu;
    return (bytes | bytes << 4) & 0x0f0f0f0fu;
  }
  uint four = 0;
  for (uint j = 0; j < 4; ++j) {
    const uint bit = (i + j) * kBits, word = bit / 32, shift = bit % 32;
    uint code = words[word] >> shift;
    if (shift + kBits > 32) code |= words[word + 1] << (32 - shift);
    four |= (code & ((1u << kBits) - 1u)) << 8 * j;
  }
  return four;
}

void codes_32(uint row, uint k, out Codes c) {
  const uint64_t group = uint64_t(k / kGroup * item_size(kScale));
  c.scale = vec2(read_float(1, kScale, component(1, row) + group));
  c.bias = vec2(read_float(2, kScale, component(2, row) + group));
  const uint64_t codes = component(0, row) + uint64_t(k / 32 * kBits * 4);
  uint words[kBits];
  if (kWideWeights && kBits % 4 == 0) {
    for (uint i = 0; i < kBits; i += 4) {
      const uvec4 quad = read_quad(0, codes, i / 4);
      for (uint j = 0; j < 4; ++j) words[i + j] = quad[j];
    }
  } else {
    for (uint i = 0; i < kBits; ++i) words[i] = read_word(0, codes, i);
  }
  for (uint i = 0; i < 8; ++i) c.four[i] = four_codes(words, 4 * i);
}
