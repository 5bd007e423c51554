// Signed bytes, and a float for each 128.
const bool kShifted = false;

void codes_32(uint row, uint k, out Codes c) {
  read_stream(row, k, 8, c.four);
  c.scale = vec2(own_scale(row, k / 128));
}
