// The arguments of a product y (M, N) = x (M, K) · w (N, K)ᵀ. What w's rows hold, the format in front of the kernel says.
layout(push_constant) uniform Product {
  uint64_t x, y;
  uint64_t component[3];  // of w: row 0, from its first weight on
  int pitch[3];           // bytes from row to row of each
  uint m, n, k;
  int x_row, x_column, y_row, y_column;  // strides in elements
  int w_column;                          // of a dense w
  uint parts;                            // that k is split into, for shaders/sum_parts.glsl
  uint64_t rows;     // where rows lie anywhere: for each, elements from x to it, then from y
  uint64_t x_made;   // x as shaders/bytes_of_x.glsl or halves_of_x.glsl says
  uint part_k;       // places along k of a part: a multiple of 256, or all
} args;

/// The tile of y that a workgroup has, by numbers along either side: `first` tiles of one side follow one another. Workgroups
/// past one dimension's limit continue in the second, where the last ones may have no tile.
uvec2 own_tile(uint first) {
  const uint i = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
  return uvec2(i % first, i / first);
}
/// The places along k that it has, from the first to before the last: those of a part of k.
uvec2 own_k() {
  const uint begin = gl_WorkGroupID.z * args.part_k;
  return uvec2(begin, min(begin + args.part_k, args.k));
}
uint pieces(uint size, uint piece) { return (size + piece - 1) / piece; }

uint64_t component(uint c, uint row) { return args.component[c] + uint64_t(int64_t(row) * args.pitch[c]); }
