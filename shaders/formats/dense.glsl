// A dense matrix of f32, f16 or bf16, with any strides: value = the element, scale 1, bias 0.
layout(constant_id = 4) const uint kWeight = 0;

vec2 scale_and_bias(uint row, uint k) { return vec2(1.0, 0.0); }

void values_of_8(uint row, uint k, out float v[8]) {
  const uint64_t begin = component(0, row);
  for (uint i = 0; i < 8; ++i) {
    const int64_t at = int64_t(k + i) * args.w_column * int64_t(item_size(kWeight));
    v[i] = k + i < args.k ? load_float(kWeight, begin + uint64_t(at)) : 0.0;
  }
}
