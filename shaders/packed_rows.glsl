// The arguments of a kernel that decodes packed rows, those that the places of up to three axes name, or those that
// indices do.
layout(push_constant) uniform PackedRows {
  uint64_t component[3];  // row 0, from its first weight on
  uint64_t out_address, indices, error;
  uint pitch[3];          // bytes from row to row of each
  uint k;                 // weights of a row
  uint size[3];           // of the axes
  int row_stride[3];      // rows from place to place
  int out_stride[3];      // elements from place to place of the result, and along a row
  int out_column;
  uint count, ticket;     // rows that indices may name
} args;

// Rows count from the view's first, backwards where a stride is negative.
uint64_t component(uint c, uint row) { return args.component[c] + uint64_t(int64_t(int(row)) * int64_t(args.pitch[c])); }
