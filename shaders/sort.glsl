// Sorts rows of keys, a power of two long, and the places that they come from: bitonic merges (Batcher, 1968). Equal keys
// are ordered by place, which makes it stable. Steps within a block pass through shared memory, all of them in one
// dispatch; each wider one has a dispatch of its own.
layout(constant_id = 1) const bool kWithinBlock = false;

const uint kBlock = 1024;
shared uint64_t block_key[kBlock];
shared uint block_place[kBlock];

layout(push_constant) uniform Sort {
  uint64_t keys, places;
  uint count, row;   // of all rows, and of one
  uint first, last;  // widths of merges
  uint step;         // how far apart what is compared lies
} args;

bool is_behind(uint64_t a, uint a_place, uint64_t b, uint b_place) { return a > b || (a == b && a_place > b_place); }
/// The first of the two that comparison `pair` of a step puts in order.
uint first_of(uint pair, uint step) { return (pair & ~(step - 1)) * 2 + (pair & (step - 1)); }
/// A merge of a whole row ascends; those within it do in turns.
bool ascends(uint i, uint width) { return (i & (args.row - 1) & width) == 0; }

void sort_block(uint begin) {
  const uint lane = gl_LocalInvocationIndex, lanes = gl_WorkGroupSize.x;
  for (uint i = lane; i < kBlock && begin + i < args.count; i += lanes) {
    block_key[i] = Long(args.keys + uint64_t(begin + i) * 8).value;
    block_place[i] = Word(args.places + uint64_t(begin + i) * 4).value;
  }
  for (uint width = args.first; width <= args.last; width *= 2) {
    for (uint step = min(width, kBlock) / 2; step > 0; step /= 2) {
      barrier();
      for (uint pair = lane; pair < kBlock / 2; pair += lanes) {
        const uint a = first_of(pair, step), b = a + step;
        if (begin + b >= args.count) continue;
        if (is_behind(block_key[a], block_place[a], block_key[b], block_place[b]) != ascends(begin + a, width)) continue;
        const uint64_t key = block_key[a];
        block_key[a] = block_key[b];
        block_key[b] = key;
        const uint place = block_place[a];
        block_place[a] = block_place[b];
        block_place[b] = place;
      }
    }
  }
  barrier();
  for (uint i = lane; i < kBlock && begin + i < args.count; i += lanes) {
    Long(args.keys + uint64_t(begin + i) * 8).value = block_key[i];
    Word(args.places + uint64_t(begin + i) * 4).value = block_place[i];
  }
}

void compare(uint pair) {
  const uint a = first_of(pair, args.step), b = a + args.step;
  if (b >= args.count) return;
  Long a_key = Long(args.keys + uint64_t(a) * 8), b_key = Long(args.keys + uint64_t(b) * 8);
  Word a_place = Word(args.places + uint64_t(a) * 4), b_place = Word(args.places + uint64_t(b) * 4);
  const uint64_t key = a_key.value, other_key = b_key.value;
  const uint place = a_place.value, other_place = b_place.value;
  if (is_behind(key, place, other_key, other_place) != ascends(a, args.first)) return;
  a_key.value = other_key;
  b_key.value = key;
  a_place.value = other_place;
  b_place.value = place;
}

void main() {
  const uint workgroup = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
  if (kWithinBlock) {
    if (uint64_t(workgroup) * kBlock < args.count) sort_block(workgroup * kBlock);
  } else {
    compare(workgroup * gl_WorkGroupSize.x + gl_LocalInvocationIndex);
  }
}
