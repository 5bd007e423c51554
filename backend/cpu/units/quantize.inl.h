// MLX's affine quantization (ml-explore/mlx, mx.quantize), the same numbers as the format's own encoder. Included
// inside a unit's unnamed namespace, after its vectors and max_magnitude:
//   least, greatest (of vectors and of lanes), sub, div, store_rounded (to bytes).

struct GroupScale {
  float scale, bias;
};

/// The endpoint of larger magnitude is hit exactly, and zero where the grid comes near it.
inline GroupScale choose_scale(float low, float high, float top_code) {
  const bool from_low = __builtin_fabsf(low) > __builtin_fabsf(high);
  const float exact = (high - low) / top_code, step = exact < 1e-7f ? 1e-7f : exact;
  const float scale = from_low ? step : -step;
  const float edge = from_low ? low : high;
  const float edge_code = __builtin_rintf(edge / scale);
  if (edge_code == 0) return {scale, 0};
  return {edge / edge_code, edge};
}

void quantize(const float* weights, std::int64_t count, int group, int bits, std::uint8_t* codes, float* scales,
              float* biases) {
  const float top_code = static_cast<float>((1 << bits) - 1);
  for (std::int64_t at = 0; at < count; at += group) {
    const float* w = weights + at;
    F low = load_f32(w), high = low;
    for (int i = kLanes; i < group; i += kLanes) {
      low = least(load_f32(w + i), low);
      high = greatest(load_f32(w + i), high);
    }
    const bool is_nan = max_magnitude(w, group) > 0x7f800000;  // of any weight, then of all
    const float nan = __builtin_nanf("");
    const GroupScale chosen = is_nan ? GroupScale{nan, nan} : choose_scale(least(low), greatest(high), top_code);
    const F scale = broadcast(chosen.scale), bias = broadcast(chosen.bias), top = broadcast(top_code);
    for (int i = 0; i < group; i += kLanes) {
      const F positive =
          greatest(div(sub(load_f32(w + i), bias), scale), broadcast(0.f));  // 0 where it is not a number
      store_rounded(codes + at + i, least(positive, top));
    }
    *scales++ = chosen.scale;
    *biases++ = chosen.bias;
  }
}
