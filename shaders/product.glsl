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
} args;

uint64_t component(uint c, uint row) { return args.component[c] + uint64_t(int64_t(row) * args.pitch[c]); }
