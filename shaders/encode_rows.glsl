void main() {
  const uint i = (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
  const uint groups = args.k / kGroupSize, place = i / groups, k = i % groups * kGroupSize;
  if (place >= args.size[0] * args.size[1] * args.size[2]) return;
  const uint c = place % args.size[2], b = place / args.size[2] % args.size[1], a = place / args.size[2] / args.size[1];
  int64_t row = int64_t(a) * args.row_stride[0] + int64_t(b) * args.row_stride[1] + int64_t(c) * args.row_stride[2];
  if (args.starts != 0) {
    const int64_t start = load_integer(kI32, args.starts + uint64_t(int64_t(a) * args.start_stride * 4));
    if (is_negative(start) || start > int64_t(args.last)) {
      report(args.error, args.ticket, start);
      return;
    }
    row += start * args.step;
  }
  const int64_t from = int64_t(a) * args.in_stride[0] + int64_t(b) * args.in_stride[1] + int64_t(c) * args.in_stride[2];
  weights_at = args.in_address + uint64_t((from + int64_t(k) * args.in_column) * int64_t(item_size(kIn)));
  encode_group(uint(row), k);
}
