// OpSDot of four bytes in a word each (SPV_KHR_integer_dot_product), which the compiler's GLSL has no name for.
#extension GL_EXT_spirv_intrinsics : require
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019], id = 4450)
int dot_of_bytes(int a, int b, spirv_literal int format);

// A step is four products and four sums.
void main() {
  int chain[kChains];
  for (uint c = 0; c < kChains; ++c) chain[c] = int(lane() + c);
  for (uint r = 0; r < args.rounds; ++r) {
    for (uint s = 0; s < kSteps; ++s) {
      for (uint c = 0; c < kChains; ++c) chain[c] += dot_of_bytes(chain[c], int(args.seed), 0);
    }
  }
  int sum = 0;
  for (uint c = 0; c < kChains; ++c) sum += chain[c];
  keep(uint(sum));
}
