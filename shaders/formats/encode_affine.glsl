// Into MLX's affine triplets, by mx.quantize's rule: the end of the range that is larger is hit exactly, and zero where the
// grid comes near it. A group with a NaN becomes all NaN.
layout(constant_id = 4) const uint kBits = 4;
layout(constant_id = 5) const uint kGroupSize = 64;
layout(constant_id = 6) const uint kScale = 0;  // dtype of scales and biases

void encode_group(uint row, uint k) {
  const float top = float((1u << kBits) - 1u);
  float low = weight(0), high = low;
  bool has_nan = isnan(low);
  for (uint i = 1; i < kGroupSize; ++i) {
    const float w = weight(i);
    low = w < low ? w : low;
    high = w > high ? w : high;
    has_nan = has_nan || isnan(w);
  }
  const bool from_low = abs(low) > abs(high);
  const float step = max(quotient(high - low, top), 1e-7);
  const float edge = from_low ? low : high;
  float scale = from_low ? step : -step, bias = 0.0;
  const float edge_code = roundEven(quotient(edge, scale));
  if (edge_code != 0.0) {
    scale = quotient(edge, edge_code);
    bias = edge;
  }
  if (has_nan) scale = bias = uintBitsToFloat(0x7fc00000u);
  const uint64_t at = uint64_t(k / kGroupSize * item_size(kScale));
  store_float(kScale, component(1, row) + at, scale);
  store_float(kScale, component(2, row) + at, bias);

  uint64_t codes = component(0, row) + uint64_t(k / 32 * kBits * 4);
  uint word = 0, filled = 0;
  for (uint i = 0; i < kGroupSize; ++i) {
    const float value = quotient(weight(i) - bias, scale);
    const uint code = value > 0.0 ? uint(roundEven(min(value, top))) : 0u;
    word |= code << filled;
    filled += kBits;
    if (filled < 32) continue;
    Word(codes).value = word;
    codes += 4;
    filled -= 32;
    word = filled > 0 ? code >> (kBits - filled) : 0u;
  }
}
