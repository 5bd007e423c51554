// Floats of any dtype out of what read_word and read_quad give.
const uint kOperandX = 3;
uint read_word(uint operand, uint64_t at) { return read_word(operand, at, 0); }
uvec4 read_quad(uint operand, uint64_t at) { return read_quad(operand, at, 0); }
layout(constant_id = 9) const bool kWideWeights = false;  // whether w's rows begin at multiples of 16 bytes

float float_of_bits(uint dtype, uint bits) { return dtype == kF16 ? float_of_half(bits) : uintBitsToFloat(bits << 16); }

float read_float(uint operand, uint dtype, uint64_t at) {
  if (dtype == kF32) return uintBitsToFloat(read_word(operand, at));
  return float_of_bits(dtype, read_word(operand, at & ~3UL) >> 8 * (uint(at) & 2u) & 0xffffu);
}

/// Four side by side, where they lie in whole words.
vec4 read_4_floats(uint operand, uint dtype, uint64_t at) {
  if (dtype == kF32) return uintBitsToFloat(read_quad(operand, at));
  const uint low = read_word(operand, at), high = read_word(operand, at, 1);
  return vec4(float_of_bits(dtype, low & 0xffffu), float_of_bits(dtype, low >> 16), float_of_bits(dtype, high & 0xffffu),
              float_of_bits(dtype, high >> 16));
}

/// 32 side by side, from a multiple of 16 bytes on.
void read_32_floats(uint operand, uint dtype, uint64_t at, out float x[32]) {
  if (dtype == kF32) {
    for (uint i = 0; i < 8; ++i) {
      const uvec4 quad = read_quad(operand, at, i);
      for (uint j = 0; j < 4; ++j) x[4 * i + j] = uintBitsToFloat(quad[j]);
    }
  } else {
    for (uint i = 0; i < 4; ++i) {
      const uvec4 quad = read_quad(operand, at, i);
      for (uint j = 0; j < 8; ++j) x[8 * i + j] = float_of_bits(dtype, quad[j / 2] >> 16 * (j % 2) & 0xffffu);
    }
  }
}
