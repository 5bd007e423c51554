// The arguments of a kernel that packs rows, which lie at places of up to three axes, into rows of a packed tensor; where
// those begin along an axis, starts on the device may say, one for each place of the first axis.
layout(push_constant) uniform PackedPlaces {
  uint64_t component[3];  // row 0
  uint64_t in_address, starts, error;
  uint pitch[3];      // bytes from row to row of each
  uint k;             // weights of a row
  uint size[3];       // of the axes
  int in_stride[3];   // elements from place to place
  int row_stride[3];  // rows from place to place
  int in_column;
  int start_stride, step;  // of starts, in elements; rows that a start counts in
  uint last, ticket;       // the largest start
} args;

uint64_t component(uint c, uint row) { return args.component[c] + uint64_t(row) * args.pitch[c]; }
