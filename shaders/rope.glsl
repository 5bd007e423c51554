// Operand 3, contiguous, becomes operand 0, (B, H, T, D) by strides, with the pairs of each row rotated. Operand 1: the angle
// per position of each pair, f32; operand 2: positions i32, (B, T) by strides. An invocation has one pair, or one element
// that passes.
layout(constant_id = 1) const uint kIn = 0;
layout(constant_id = 2) const bool kInterleaved = false;

void main() {
  const uint pairs = walk.extra.x, depth = walk.extra.y, each = depth - pairs;
  const uint i = invocation();
  const uint lane = i % each, row = i / each;
  if (row >= walk.size.x * walk.size.y * walk.size.z) return;
  const uint t = row % walk.size.z, bh = row / walk.size.z, h = bh % walk.size.y, b = bh / walk.size.y;
  const uvec4 place = uvec4(b, h, t, 0);
  const uint64_t to = walk.address[3] + uint64_t(row) * depth * item_size(kIn);
  const uint64_t from = element(0, place, kIn);
  const int stride = walk.stride[0].w;
  const uint size = item_size(kIn);
  if (lane >= pairs) {
    const uint at = lane + pairs;
    store_float(kIn, to + at * size, load_float(kIn, from + uint64_t(int64_t(at) * stride * size)));
    return;
  }
  const uint first = kInterleaved ? 2 * lane : lane, second = kInterleaved ? first + 1 : first + pairs;
  const float a = load_float(kIn, from + uint64_t(int64_t(first) * stride * size));
  const float c = load_float(kIn, from + uint64_t(int64_t(second) * stride * size));
  const float inverse = load_float(kF32, row_element(walk.address[1], lane, walk.stride[1].w, kF32));
  const int64_t position = load_integer(kI32, element(2, place, kI32));
  uint64_t turns = turns_of(inverse) * uint64_t(position);
  if (inverse < 0.0) turns = 0UL - turns;
  const vec2 turn = uintBitsToFloat(walk.extra.z) * cos_sin_of_turns(turns);
  store_float(kIn, to + first * size, a * turn.x - c * turn.y);
  store_float(kIn, to + second * size, c * turn.x + a * turn.y);
}
