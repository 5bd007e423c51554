// Products of bytes, 16 weights at a time, by OpSDot of four bytes in a word each (SPV_KHR_integer_dot_product), which the
// compiler's GLSL has no name for.
#extension GL_EXT_spirv_intrinsics : require
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019], id = 4450)
int dot_of_bytes(int a, int b, spirv_literal int format);

/// Of 32 weights: value = scale · code + bias with signed codes, whatever the format's are.
Codes signed_codes(uint row, uint k) {
  Codes c;
  codes_32(row, k, c);
  if (kShifted) {
    for (uint i = 0; i < 8; ++i) c.four[i] ^= 0x80808080u;
    c.bias += 128.0 * c.scale;
  } else {
    c.bias = vec2(0.0);
  }
  return c;
}

/// The product with the 16 entries of x that step and sum belong to.
float product_of_16(uvec4 codes, float scale, float bias, uvec4 x, float step, float sum) {
  int dots = 0;
  for (uint i = 0; i < 4; ++i) dots += dot_of_bytes(int(codes[i]), int(x[i]), 0);
  return scale * step * float(dots) + bias * sum;
}
/// The same with 16 entries that are marked, from x itself.
float exact_product_of_16(uvec4 codes, float scale, float bias, uint m, uint k) {
  const uint64_t row = x_row(m);
  float sum = 0.0;
  for (uint i = 0; i < 16; ++i) {
    sum += (scale * float(bitfieldExtract(int(codes[i / 4]), int(8 * (i % 4)), 8)) + bias) * read_x(row, k + i);
  }
  return sum;
}
