// A dense matrix of f32, f16 or bf16, with any strides.
layout(constant_id = 4) const uint kWeight = 0;

void decode_32(uint row, uint k, out float w[32]) {
  const uint64_t begin = component(0, row);
  for (uint i = 0; i < 32; ++i) {
    const int64_t at = int64_t(k + i) * args.w_column * int64_t(item_size(kWeight));
    w[i] = k + i < args.k ? load_float(kWeight, begin + uint64_t(at)) : 0.0;
  }
}
