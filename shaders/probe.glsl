// What multiplies is measured by chains that wait for nothing but themselves: enough of them to fill every pipeline, few
// enough for registers. Operands come from the host, so that nothing is known before.
layout(push_constant) uniform Probe {
  uint64_t out_address;
  uint rounds, seed;
} args;

/// A round is so many steps of each chain.
const uint kChains = 12, kSteps = 8;

uint lane() { return gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationIndex; }
void keep(uint result) { Word(args.out_address + lane() * 4).value = result; }
