// MLX's affine triplets: component 0 is a row's codes, one little-endian bit stream of 32-bit words; 1 and 2 are a scale and a
// bias for each group; value = scale · code + bias. 32 codes are kBits whole words.
layout(constant_id = 4) const uint kBits = 4;
layout(constant_id = 5) const uint kGroup = 64;
layout(constant_id = 6) const uint kScale = 0;  // dtype of scales and biases

void decode_32(uint row, uint k, out float w[32]) {
  const uint64_t group = uint64_t(k / kGroup * item_size(kScale));
  const float scale = read_float(1, kScale, component(1, row) + group);
  const float bias = read_float(2, kScale, component(2, row) + group);
  const uint64_t codes = component(0, row) + uint64_t(k / 32 * kBits * 4);
  uint words[kBits];
  if (kWideWeights && kBits % 4 == 0) {
    for (uint i = 0; i < kBits; i += 4) {
      const uvec4 quad = read_quad(0, codes + i * 4);
      for (uint j = 0; j < 4; ++j) words[i + j] = quad[j];
    }
  } else {
    for (uint i = 0; i < kBits; ++i) words[i] = read_word(0, codes + i * 4);
  }
  for (uint i = 0; i < 32; ++i) {
    const uint bit = i * kBits, word = bit / 32, shift = bit % 32;
    uint code = words[word] >> shift;
    if (shift + kBits > 32) code |= words[word + 1] << (32 - shift);
    w[i] = scale * float(code & ((1u << kBits) - 1u)) + bias;
  }
}
