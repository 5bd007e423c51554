// A product whose k was split: y is the sum of its parts, each (m, n) and contiguous, which lie one after another at x.
void main() {
  const uint i = (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
  const uint count = args.m * args.n;
  if (i >= count) return;
  float sum = 0.0;
  for (uint p = 0; p < args.parts; ++p) sum += uintBitsToFloat(Word(args.x + (uint64_t(p) * count + i) * 4).value);
  write_y(y_row(i / args.n), i % args.n, sum);
}
