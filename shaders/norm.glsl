// Operand 3, contiguous, becomes operand 0's rows normalised: by their root mean square, or by mean and variance; times
// operand 1 (weights) plus operand 2 (biases), which a null address leaves out.
layout(constant_id = 1) const uint kIn = 0;
layout(constant_id = 2) const uint kWeight = 0;
layout(constant_id = 3) const bool kCentred = false;
layout(constant_id = 4) const uint kBias = 0;

void main() {
  const uint row = workgroup();
  if (row >= walk_count()) return;
  const uvec4 place = place_of(row);
  const uint64_t from = element(0, place, kIn), to = element(3, place, kIn);
  const int stride = int(walk.extra.y), weight_stride = walk.stride[1].x, bias_stride = walk.stride[2].x;
  const uint n = row_length(), lane = gl_LocalInvocationIndex, lanes = gl_WorkGroupSize.x;
  const float epsilon = uintBitsToFloat(walk.extra.z);

  float mean = 0.0;
  if (kCentred) {
    for (uint i = lane; i < n; i += lanes) mean += load_float(kIn, row_element(from, i, stride, kIn));
    mean = sum_together(mean) / float(n);
  }
  float squares = 0.0;
  for (uint i = lane; i < n; i += lanes) {
    const float x = load_float(kIn, row_element(from, i, stride, kIn)) - mean;
    squares += x * x;
  }
  squares = sum_together(squares);
  const float scale = 1.0 / sqrt(squares / float(n) + epsilon);
  for (uint i = lane; i < n; i += lanes) {
    float y = (load_float(kIn, row_element(from, i, stride, kIn)) - mean) * scale;
    if (walk.address[1] != 0) y *= load_float(kWeight, row_element(walk.address[1], i, weight_stride, kWeight));
    if (walk.address[2] != 0) y += load_float(kBias, row_element(walk.address[2], i, bias_stride, kBias));
    store_float(kIn, row_element(to, i, 1, kIn), y);
  }
}
