// How products read x, and write y.
layout(constant_id = 1) const uint kX = 0;
layout(constant_id = 2) const uint kY = 0;
layout(constant_id = 8) const bool kWideX = false;  // whether its rows are contiguous from multiples of 16 bytes on, and whole
layout(constant_id = 10) const bool kScattered = false;  // whether rows lie anywhere

/// Where row m of x begins; past the last one, that one.
uint64_t x_row(uint m) {
  const uint row = min(m, args.m - 1);
  const int64_t at = kScattered ? int64_t(Long(args.rows + row * 16).value) : int64_t(row) * args.x_row;
  return args.x + uint64_t(at * int64_t(item_size(kX)));
}

float x_element(uint64_t row, uint i) {
  return read_float(kOperandX, kX, row + uint64_t(int64_t(i) * args.x_column * int64_t(item_size(kX))));
}
/// One element; 0 past the end of K.
float read_x(uint64_t row, uint k) { return k < args.k ? x_element(row, k) : 0.0; }
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

/// Where row m of y begins, and its element n. Parts along k have a y each, one behind another.
uint64_t y_row(uint m) {
  const uint row = min(m, args.m - 1);
  int64_t at = kScattered ? int64_t(Long(args.rows + row * 16 + 8).value) : int64_t(row) * args.y_row;
  at += int64_t(gl_WorkGroupID.z) * args.m * args.n;
  return args.y + uint64_t(at * int64_t(item_size(kY)));
}
void write_y(uint64_t row, uint n, float value) {
  store_float(kY, row + uint64_t(int64_t(n) * args.y_column * int64_t(item_size(kY))), value);
}
