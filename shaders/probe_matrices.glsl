// Cooperative matrices, by chains as in shaders/probe.glsl: a step is kM · kN · kK products and as many sums of a subgroup.
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

layout(constant_id = 1) const uint kM = 16;
layout(constant_id = 2) const uint kN = 16;
layout(constant_id = 3) const uint kK = 16;

const uint kTiles = 4;  // instead of kChains: each is many numbers

void main() {
  const coopmat<float16_t, gl_ScopeSubgroup, kM, kK, gl_MatrixUseA> x =
      coopmat<float16_t, gl_ScopeSubgroup, kM, kK, gl_MatrixUseA>(float16_t(1.0 / float(args.seed + 1)));
  const coopmat<float16_t, gl_ScopeSubgroup, kK, kN, gl_MatrixUseB> y =
      coopmat<float16_t, gl_ScopeSubgroup, kK, kN, gl_MatrixUseB>(float16_t(1.0 / float(args.seed + 2)));
  coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator> sum[kTiles];
  for (uint t = 0; t < kTiles; ++t) {
    sum[t] = coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>(float(t));
  }
  for (uint r = 0; r < args.rounds; ++r) {
    for (uint s = 0; s < kSteps; ++s) {
      for (uint t = 0; t < kTiles; ++t) sum[t] = coopMatMulAdd(x, y, sum[t]);
    }
  }
  for (uint t = 1; t < kTiles; ++t) sum[0] += sum[t];
  keep(floatBitsToUint(sum[0][0]));
}
