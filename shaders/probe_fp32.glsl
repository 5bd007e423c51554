// A step is one product and one sum, fused where the device fuses them.
void main() {
  const float x = 1.0 / float(args.seed + 1), y = float(lane());
  float chain[kChains];
  for (uint c = 0; c < kChains; ++c) chain[c] = float(c);
  for (uint r = 0; r < args.rounds; ++r) {
    for (uint s = 0; s < kSteps; ++s) {
      for (uint c = 0; c < kChains; ++c) chain[c] = fma(chain[c], x, y);
    }
  }
  float sum = 0.0;
  for (uint c = 0; c < kChains; ++c) sum += chain[c];
  keep(floatBitsToUint(sum));
}
