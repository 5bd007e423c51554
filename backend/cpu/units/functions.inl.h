// Elementary functions (math.h) of runs of floats: written once, vectors of the unit's own width. Contraction is off,
// so every unit gives the same bits. Included inside the unit's unnamed namespace.

template <float (*function)(float)>
void map_floats(const float* __restrict x, std::int64_t n, float* __restrict out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = function(x[i]);
}
constexpr FloatFunctions kFunctions{map_floats<exp_f32>, map_floats<sigmoid_f32>, map_floats<silu_f32>,
                                    map_floats<gelu_f32>, map_floats<gelu_tanh_f32>};
