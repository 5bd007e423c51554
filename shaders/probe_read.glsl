// Reads `rounds` pieces of 16 bytes, neighbours by neighbouring invocations.
layout(push_constant) uniform ProbeRead {
  uint64_t out_address, in_address;
  uint rounds;
} args;

void main() {
  const uint lanes = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
  uvec4 seen = uvec4(0);
  for (uint i = gl_GlobalInvocationID.x; i < args.rounds; i += lanes) seen ^= Quad(args.in_address + uint64_t(i) * 16).value;
  // Hardly ever written: only so that nothing above is idle.
  if ((seen.x ^ seen.y ^ seen.z ^ seen.w) == 0x9e3779b9u) Word(args.out_address).value = seen.x;
}
