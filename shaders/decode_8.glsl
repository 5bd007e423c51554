// The fp32 values of weights [k, k + 8) of a row: what every format means by scale and bias of a group.
void decode_8(uint row, uint k, out float w[8]) {
  const vec2 group = scale_and_bias(row, k);
  values_of_8(row, k, w);
  for (uint i = 0; i < 8; ++i) w[i] = group.x * w[i] + group.y;
}
