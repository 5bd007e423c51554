// What IQ1_S and IQ1_M share: numbers are eighths around 16, all of a row one more or (`less`) less.
void scale_row(uint first, uint row, uint less, float scale, inout float w[32]) {
  for (uint i = 0; i < 2; ++i) {
    const uint numbers = four_numbers(row * 2 + i);
    for (uint j = 0; j < 4; ++j) w[first + 4 * i + j] = scale * float(int(numbers >> 8 * j & 255u) - 15 - 2 * int(less));
  }
}
