// What IQ1_S and IQ1_M share: numbers are eighths around 16, all of a row one more or (`less`) less.
void scale_row(uint first, uint row, uint is_less, float scale, inout Codes c) {
  for (uint i = 0; i < 2; ++i) scale_four(first + 4 * i, less(four_numbers(row * 2 + i), 15u + 2u * is_less), 0, scale, c);
}
