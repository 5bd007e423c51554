// Into GGUF Q8_0: an f16 scale, 32 signed bytes, rounded half away from zero.
void encode_group(uint row, uint k) {
  const uint64_t block = component(0, row) + uint64_t(k / 32 * 34);
  const float d = quotient(abs(largest_by_magnitude()), 127.0), inverse = reciprocal_or_zero(d);
  Half(block).value = uint16_t(half_of_float(d));
  for (uint i = 0; i < 32; i += 4) {
    uint word = 0;
    for (uint j = 0; j < 4; ++j) {
      const float value = weight(i + j) * inverse, size = abs(value);
      const float up = size - floor(size) >= 0.5 ? floor(size) + 1.0 : floor(size);
      const int code = isnan(value) ? 0 : int(min(up, 127.0));
      word |= (uint(value < 0.0 ? -code : code) & 0xffu) << (8 * j);
    }
    store_word(block + 2 + i, word);
  }
}
