const uint kChains = 24;  // one product and one sum each
void main() {
  const float x = 1.0 / float(args.seed + 1), y = float(lane());
  float chain[kChains];
  for (uint c = 0; c < kChains; ++c) chain[c] = float(c);
  for (uint r = 0; r < args.rounds; ++r) {
    for (uint c = 0; c < kChains; ++c) chain[c] = chain[c] * x + y;
  }
  float sum = 0.0;
  for (uint c = 0; c < kChains; ++c) sum += chain[c];
  keep(floatBitsToUint(sum));
}
