// Operand 1, contiguous, becomes the softmax of operand 0 over each row, or its logarithm. A row of -Inf alone gives zeros.
layout(constant_id = 1) const uint kIn = 0;
layout(constant_id = 2) const bool kLog = false;

void main() {
  const uint row = workgroup();
  if (row >= walk_count()) return;
  const uvec4 place = place_of(row);
  const uint64_t from = element(0, place, kIn), to = element(1, place, kIn);
  const int stride = int(walk.extra.y);
  const uint n = row_length(), lane = gl_LocalInvocationIndex, lanes = gl_WorkGroupSize.x;

  float largest = -infinity();
  bool has_nan = false;
  for (uint i = lane; i < n; i += lanes) {
    const float x = load_float(kIn, row_element(from, i, stride, kIn));
    has_nan = has_nan || isnan(x);
    largest = max(largest, x);
  }
  largest = max_together(largest);
  const float nan_count = sum_together(has_nan ? 1.0 : 0.0);
  float sum = 0.0;
  for (uint i = lane; i < n; i += lanes) sum += exp_of(load_float(kIn, row_element(from, i, stride, kIn)) - largest);
  sum = sum_together(sum);
  const float scale = 1.0 / sum, log_sum = log_of(sum);
  for (uint i = lane; i < n; i += lanes) {
    const float x = load_float(kIn, row_element(from, i, stride, kIn)) - largest;
    float y = kLog ? x - log_sum : exp_of(x) * scale;
    if (largest == -infinity()) y = kLog ? -infinity() : 0.0;
    if (nan_count > 0.0) y = quiet_nan();
    store_float(kIn, row_element(to, i, 1, kIn), y);
  }
}
