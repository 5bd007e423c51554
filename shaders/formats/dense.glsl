// A dense matrix of f32, f16 or bf16, with any strides.
layout(constant_id = 4) const uint kWeight = 0;

void decode_32(uint row, uint k, out float w[32]) {
  const uint64_t begin = component(0, row);
  if (kWideWeights) {
    read_32_floats(0, kWeight, begin + uint64_t(k * item_size(kWeight)), w);
  } else {
    const int64_t column = int64_t(args.w_column) * int64_t(item_size(kWeight));
    for (uint i = 0; i < 32; ++i) w[i] = k + i < args.k ? read_float(0, kWeight, begin + uint64_t(int64_t(k + i) * column)) : 0.0;
  }
}
