// How products read x, and write y.
layout(constant_id = 1) const uint kX = 0;
layout(constant_id = 2) const uint kY = 0;
layout(constant_id = 8) const bool kWideX = false;  // whether its rows are contiguous from multiples of 16 bytes on, and whole

uint64_t x_row(uint m) { return args.x + uint64_t(int64_t(min(m, args.m - 1)) * args.x_row * int64_t(item_size(kX))); }

/// One element; 0 past the end.
float read_x(uint64_t row, uint k) {
  return k < args.k ? read_float(kOperandX, kX, row + uint64_t(int64_t(k) * args.x_column * int64_t(item_size(kX)))) : 0.0;
}
vec4 read_4_of_x(uint64_t row, uint k) {
  if (kWideX) return read_4_floats(kOperandX, kX, row + k * item_size(kX));
  return vec4(read_x(row, k), read_x(row, k + 1), read_x(row, k + 2), read_x(row, k + 3));
}
void read_32_of_x(uint64_t row, uint k, out float x[32]) {
  if (kWideX) {
    read_32_floats(kOperandX, kX, row + k * item_size(kX), x);
  } else {
    for (uint i = 0; i < 32; ++i) x[i] = read_x(row, k + i);
  }
}

void write_y(uint m, uint n, float value) {
  if (m >= args.m || n >= args.n) return;
  const int64_t at = int64_t(m) * args.y_row + int64_t(n) * args.y_column;
  store_float(kY, args.y + uint64_t(at * int64_t(item_size(kY))), value);
}
