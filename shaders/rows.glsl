// Kernels in which a workgroup has one row: the walk passes over rows, whose elements lie `row_stride` apart.
uint row_length() { return walk.extra.x; }
uint64_t row_element(uint64_t row, uint i, int stride, uint dtype) {
  return row + uint64_t(int64_t(i) * stride * int64_t(item_size(dtype)));
}
