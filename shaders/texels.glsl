// How operands are read where the processor plays the device: through views of 32 and of 4 × 32 bits, `at` being a place in
// them. It reads addresses lane by lane in a loop, and what is fetched all at once.
layout(binding = 0) uniform usamplerBuffer words_0;
layout(binding = 1) uniform usamplerBuffer words_1;
layout(binding = 2) uniform usamplerBuffer words_2;
layout(binding = 3) uniform usamplerBuffer words_3;
layout(binding = 4) uniform usamplerBuffer quads_0;
layout(binding = 5) uniform usamplerBuffer quads_1;
layout(binding = 6) uniform usamplerBuffer quads_2;
layout(binding = 7) uniform usamplerBuffer quads_3;

/// Word `behind` after the one at a place, which is worth finding once.
uint read_word(uint operand, uint64_t at, uint behind) {
  const int i = int(at >> 2) + int(behind);
  if (operand == 0) return texelFetch(words_0, i).x;
  if (operand == 1) return texelFetch(words_1, i).x;
  if (operand == 2) return texelFetch(words_2, i).x;
  return texelFetch(words_3, i).x;
}
uvec4 read_quad(uint operand, uint64_t at, uint behind) {
  const int i = int(at >> 4) + int(behind);
  if (operand == 0) return texelFetch(quads_0, i);
  if (operand == 1) return texelFetch(quads_1, i);
  if (operand == 2) return texelFetch(quads_2, i);
  return texelFetch(quads_3, i);
}
