// Decodes packed rows to floats, 32 weights an invocation; an index out of range gives zeros and is reported.
layout(constant_id = 1) const uint kOut = 0;
layout(constant_id = 2) const uint kIndex = 0;

void main() {
  const uint i = (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
  const uint pieces = (args.k + 31) / 32, place = i / pieces, k = i % pieces * 32;
  if (place >= args.size[0] * args.size[1] * args.size[2]) return;
  const uint c = place % args.size[2], b = place / args.size[2] % args.size[1], a = place / args.size[2] / args.size[1];
  int64_t row = int64_t(a) * args.row_stride[0] + int64_t(b) * args.row_stride[1] + int64_t(c) * args.row_stride[2];
  const int64_t to = int64_t(a) * args.out_stride[0] + int64_t(b) * args.out_stride[1] + int64_t(c) * args.out_stride[2];
  float w[32];
  for (uint j = 0; j < 32; ++j) w[j] = 0.0;
  bool inside = true;
  if (args.indices != 0) {
    const int64_t index = load_integer(kIndex, args.indices + uint64_t(place) * item_size(kIndex));
    const int64_t wrapped = is_negative(index) ? index + int64_t(args.count) : index;
    inside = !is_negative(wrapped) && wrapped < int64_t(args.count);
    if (!inside && k == 0) report(args.error, args.ticket, index);
    row = wrapped * args.row_stride[2];
  }
  if (inside) decode_32(uint(row), k, w);
  for (uint j = 0; j < 32; ++j) {
    const int64_t at = to + int64_t(k + j) * args.out_column;
    if (k + j < args.k) store_float(kOut, args.out_address + uint64_t(at * int64_t(item_size(kOut))), w[j]);
  }
}
