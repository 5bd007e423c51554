// One query's attention a workgroup: keys pass in tiles of a key an invocation, with the softmax kept online (Milakov and
// Gimelshein, 2018); then an invocation has some of the value's entries. A query that sees no key gives zeros.
layout(constant_id = 1) const uint kQ = 0;
layout(constant_id = 2) const uint kK = 0;
layout(constant_id = 3) const uint kV = 0;
layout(constant_id = 4) const uint kMask = 0;  // 0: none; 1: boolean; 2: f32, added
layout(constant_id = 5) const bool kCausal = false;
layout(constant_id = 6) const uint kOwn = 8;  // entries of the value that an invocation has
const uint kMostDepth = 1024;

layout(push_constant) uniform Attention {
  uint64_t q, k, v, mask, key_length, out_address, error;
  int q_stride[3], k_stride[3], v_stride[3];  // of batch, head, position; entries lie side by side
  int mask_stride[4];
  int length_stride;
  uint keys;   // that there is room for
  uint sizes;  // 11 bits each: entries of a key and of a value less 1; then query heads on one head of keys
  float scale;
  uint ticket;
} args;

shared float query[kMostDepth];
shared float share[gl_WorkGroupSize.x];

float score(uint64_t key, uint depth) {
  float sum = 0.0;
  for (uint d = 0; d < depth; ++d) sum += query[d] * load_float(kK, key + d * item_size(kK));
  return sum;
}

void main() {
  const uint t = gl_WorkGroupID.x, h = gl_WorkGroupID.y, b = gl_WorkGroupID.z, lane = gl_LocalInvocationIndex;
  const uint lanes = gl_WorkGroupSize.x, from = h / (args.sizes >> 22);
  const uint depth = (args.sizes & 0x7ffu) + 1, value_depth = (args.sizes >> 11 & 0x7ffu) + 1;
  const int64_t q_at = int64_t(b) * args.q_stride[0] + int64_t(h) * args.q_stride[1] + int64_t(t) * args.q_stride[2];
  const int64_t k_at = int64_t(b) * args.k_stride[0] + int64_t(from) * args.k_stride[1];
  const int64_t v_at = int64_t(b) * args.v_stride[0] + int64_t(from) * args.v_stride[1];
  const int64_t mask_at = int64_t(b) * args.mask_stride[0] + int64_t(h) * args.mask_stride[1] + int64_t(t) * args.mask_stride[2];

  int length = int(args.keys);
  if (args.key_length != 0) {
    length = int(Word(args.key_length + uint64_t(int64_t(b) * args.length_stride * 4)).value);
    if (length < 0 || length > int(args.keys)) {
      if (lane == 0) report(args.error, args.ticket, int64_t(length));
      length = 0;
    }
  }
  const int seen = kCausal ? length - int(gl_NumWorkGroups.x) + int(t) + 1 : length;

  for (uint d = lane; d < depth; d += lanes) {
    query[d] = args.scale * load_float(kQ, args.q + uint64_t((q_at + d) * int64_t(item_size(kQ))));
  }
  barrier();
  float value[kOwn];
  for (uint i = 0; i < kOwn; ++i) value[i] = 0.0;
  float largest = -infinity(), total = 0.0;
  for (int first = 0; first < seen; first += int(lanes)) {
    const int j = first + int(lane);
    bool visible = j < seen;
    float added = 0.0;
    if (kMask != 0 && visible) {
      const int64_t at = mask_at + int64_t(j) * args.mask_stride[3];
      if (kMask == 1) visible = load_integer(kBool, args.mask + uint64_t(at)) != 0;
      if (kMask == 2) added = load_float(kF32, args.mask + uint64_t(at * 4));
    }
    float s = -infinity();
    if (visible) s = score(args.k + uint64_t((k_at + int64_t(j) * args.k_stride[2]) * int64_t(item_size(kK))), depth) + added;
    const float highest = max(largest, max_together(s));
    const float p = s == -infinity() ? 0.0 : exp_of(s - highest);
    const float keep = largest == -infinity() ? 0.0 : exp_of(largest - highest);
    total = total * keep + sum_together(p);
    largest = highest;
    share[lane] = p;
    barrier();
    const uint count = uint(min(seen - first, int(lanes)));
    for (uint i = 0; i < kOwn; ++i) {
      const uint d = lane + i * lanes;
      if (d >= value_depth) continue;
      float sum = value[i] * keep;
      for (uint l = 0; l < count; ++l) {
        const int64_t at = v_at + int64_t(first + int(l)) * args.v_stride[2] + int64_t(d);
        if (share[l] != 0.0) sum += share[l] * load_float(kV, args.v + uint64_t(at * int64_t(item_size(kV))));
      }
      value[i] = sum;
    }
    barrier();
  }
  const uint64_t to = args.out_address + uint64_t(((uint64_t(b) * gl_NumWorkGroups.y + h) * gl_NumWorkGroups.x + t) * value_depth * item_size(kQ));
  for (uint i = 0; i < kOwn; ++i) {
    const uint d = lane + i * lanes;
    if (d < value_depth) store_float(kQ, to + d * item_size(kQ), total > 0.0 || isnan(total) ? value[i] / total : 0.0);
  }
}
