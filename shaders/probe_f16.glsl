#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

// A step is two products and two sums.
void main() {
  const f16vec2 x = f16vec2(1.0 / float(args.seed + 1)), y = f16vec2(lane() % 8);
  f16vec2 chain[kChains];
  for (uint c = 0; c < kChains; ++c) chain[c] = f16vec2(c);
  for (uint r = 0; r < args.rounds; ++r) {
    for (uint s = 0; s < kSteps; ++s) {
      for (uint c = 0; c < kChains; ++c) chain[c] = fma(chain[c], x, y);
    }
  }
  f16vec2 sum = f16vec2(0.0);
  for (uint c = 0; c < kChains; ++c) sum += chain[c];
  keep(packFloat2x16(sum));
}
