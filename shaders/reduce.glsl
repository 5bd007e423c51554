// Operand 1, contiguous, becomes one number for each row of operand 0.
layout(constant_id = 1) const uint kOp = 0;
layout(constant_id = 2) const uint kIn = 0;
layout(constant_id = 3) const uint kOut = 0;

// ReduceOp's order.
const uint kSum = 0, kMax = 1, kMin = 2, kArgmax = 3, kArgmin = 4, kLogsumexp = 5;

/// A float as an integer of the same order, NaN above (or below, for a minimum) everything.
int64_t ordered(float x) {
  const bool least = kOp == kMin || kOp == kArgmin;
  if (isnan(x)) return least ? -0x100000000L : 0x100000000L;
  const uint bits = floatBitsToUint(x == 0.0 ? 0.0 : x);
  return (bits >> 31) != 0 ? -int64_t(bits & 0x7fffffffu) : int64_t(bits);
}

shared int64_t shared_best[128];
shared uint shared_at[128];
shared vec2 shared_sum[128];

float row_float(uint64_t from, uint i, int stride) { return load_float(kIn, row_element(from, i, stride, kIn)); }

/// A sum and what it has lost, and one number more.
vec2 sum_with(vec2 sum, float x) {
  precise const float next = sum.x + x;
  precise const float error = abs(sum.x) >= abs(x) ? (sum.x - next) + x : (x - next) + sum.x;
  return vec2(next, sum.y + error);
}

/// The first of the largest (smallest) elements: its place.
uint best_place(uint64_t from, uint n, int stride) {
  const uint lane = gl_LocalInvocationIndex, lanes = gl_WorkGroupSize.x;
  const bool least = kOp == kMin || kOp == kArgmin;
  int64_t best = 0;
  uint at = n;
  for (uint i = lane; i < n; i += lanes) {
    int64_t key = is_float(kIn) ? ordered(row_float(from, i, stride)) : load_integer(kIn, row_element(from, i, stride, kIn));
    if (at == n || (least ? key < best : key > best)) {
      best = key;
      at = i;
    }
  }
  shared_best[lane] = best;
  shared_at[lane] = at;
  barrier();
  for (uint l = 0; l < lanes; ++l) {
    if (shared_at[l] == n) continue;
    const bool better = at == n || (least ? shared_best[l] < best : shared_best[l] > best);
    if (better || (shared_best[l] == best && shared_at[l] < at)) {
      best = shared_best[l];
      at = shared_at[l];
    }
  }
  return at;
}

void main() {
  const uint row = workgroup();
  if (row >= walk_count()) return;
  const uvec4 place = place_of(row);
  const uint64_t from = element(0, place, kIn), to = element(1, place, kOut);
  const int stride = int(walk.extra.y);
  const uint n = row_length(), lane = gl_LocalInvocationIndex, lanes = gl_WorkGroupSize.x;

  if (kOp == kSum && is_float(kIn)) {
    // Compensated (Neumaier, 1974), in each lane and then over the lanes: what an addition loses is kept.
    vec2 sum = vec2(0.0);
    for (uint i = lane; i < n; i += lanes) sum = sum_with(sum, row_float(from, i, stride));
    shared_sum[lane] = sum;
    barrier();
    if (lane == 0) {
      for (uint l = 1; l < lanes; ++l) {
        sum = sum_with(sum, shared_sum[l].x);
        sum.y += shared_sum[l].y;
      }
      store_float(kOut, to, isinf(sum.x) || isnan(sum.y) ? sum.x : sum.x + sum.y);
    }
  } else if (kOp == kSum) {
    int64_t sum = 0;
    for (uint i = lane; i < n; i += lanes) sum += load_integer(kIn, row_element(from, i, stride, kIn));
    shared_best[lane] = sum;
    barrier();
    if (lane == 0) {
      for (uint l = 1; l < lanes; ++l) sum += shared_best[l];
      store_integer(kOut, to, sum);
    }
  } else if (kOp == kLogsumexp) {
    float largest = -infinity();
    bool has_nan = false;
    for (uint i = lane; i < n; i += lanes) {
      const float x = row_float(from, i, stride);
      has_nan = has_nan || isnan(x);
      largest = max(largest, x);
    }
    largest = max_together(largest);
    const float nan_count = sum_together(has_nan ? 1.0 : 0.0);
    float sum = 0.0;
    for (uint i = lane; i < n; i += lanes) sum += exp_of(row_float(from, i, stride) - largest);
    sum = sum_together(sum);
    if (lane == 0) store_float(kOut, to, nan_count > 0.0 ? quiet_nan() : isinf(largest) ? largest : largest + log_of(sum));
  } else {
    const uint at = best_place(from, n, stride);
    if (lane == 0) {
      if (kOp == kArgmax || kOp == kArgmin) {
        store_integer(kOut, to, int64_t(at));
      } else if (is_float(kIn)) {
        store_float(kOut, to, row_float(from, at, stride));
      } else {
        store_integer(kOut, to, load_integer(kIn, row_element(from, at, stride, kIn)));
      }
    }
  }
}
