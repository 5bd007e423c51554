// What formats share whose rows are a stream of codes (component 0), a number of whole words for 32 weights, and scales
// beside it (component 1): bytes, or floats of the weight's own type.
layout(constant_id = 6) const uint kScale = 0;  // that type

/// The codes of 32 weights, of that many bits each. Rows may end after 16.
void read_stream(uint row, uint k, uint bits, out uint words[8]) {
  const uint64_t at = component(0, row) + uint64_t(k / 32 * bits * 4);
  if (kWideWeights && bits % 4 == 0) {
    for (uint i = 0; i < bits / 4; ++i) {
      const uvec4 quad = read_quad(0, at, i);
      for (uint j = 0; j < 4; ++j) words[4 * i + j] = quad[j];
    }
  } else {
    const uint last = min(args.k - k, 32) * bits / 32 - 1;
    for (uint i = 0; i < bits; ++i) words[i] = read_word(0, at, min(i, last));
  }
}

float own_scale(uint row, uint group) {
  return read_float(1, kScale, component(1, row) + uint64_t(group * item_size(kScale)));
}
uint byte_scale(uint row, uint group) {
  const uint64_t at = component(1, row) + uint64_t(group);
  return read_word(1, at & ~3UL) >> 8 * (uint(at) & 3u) & 0xffu;
}
/// Exponents of 8 bits, the last one infinite. The smallest is subnormal, which a device may take for zero.
float power_of_two(uint exponent) { return uintBitsToFloat(exponent == 0 ? 0x00400000u : exponent << 23); }
/// What a row has besides, an f32.
float row_scale(uint row) { return uintBitsToFloat(read_word(2, component(2, row))); }
